// The other implementation: @ethereumjs/devp2p as a peer with our capability. One JSON object a line tells what it sees.
//
//   node peer.mjs listen              print {"listening": PORT, "id": HEX}, wait to be dialled
//   node peer.mjs dial ID HOST PORT   dial
//   node peer.mjs ping ID HOST PORT   discv4: prove our endpoint, ask for neighbours
//
// It answers a status (message 0) by the same one, and "hello from python" (message 3) by "hello from javascript".
import { Common, Mainnet } from '@ethereumjs/common'
import { DPT, RLPx } from '@ethereumjs/devp2p'
import { RLP } from '@ethereumjs/rlp'
import { bytesToUnprefixedHex, bytesToUtf8, hexToBytes, randomBytes, utf8ToBytes } from '@ethereumjs/util'
import * as snappy from 'snappyjs'

const tell = (object) => console.log(JSON.stringify(object))

class MTN {
  constructor(version, peer, send) {
    this._send = send
  }

  _handleMessage(code, data) {
    tell({ message: code, bytes: data.length })
    if (code === 0) {
      this._send(0, snappy.compress(data))
    } else if (code === 3) {
      const [priority, raw] = RLP.decode(data)
      tell({ raw: bytesToUtf8(raw) })
      this._send(3, snappy.compress(RLP.encode([priority, utf8ToBytes('hello from javascript')])))
    }
  }
}

const [mode, id, host, port] = process.argv.slice(2)
const common = new Common({ chain: Mainnet })
const key = randomBytes(32)

if (mode === 'ping') {
  const dpt = new DPT(key, { endpoint: { address: '127.0.0.1', udpPort: null, tcpPort: null }, refreshInterval: 300, common })
  dpt.events.on('peer:added', (peer) => tell({ added: bytesToUnprefixedHex(peer.id) }))
  dpt.events.on('error', (error) => tell({ error: String(error) }))
  dpt['_server'].events.on('peers', (peers) => tell({ neighbours: peers.length }))
  dpt.bind(0, '127.0.0.1')
  const target = { id: hexToBytes('0x' + id), address: host, udpPort: Number(port), tcpPort: Number(port) }
  await dpt.bootstrap(target).catch((error) => tell({ error: String(error) }))
} else {
  const rlpx = new RLPx(key, {
    capabilities: [{ name: 'mtn', version: 1, length: 16, constructor: MTN }],
    common,
    clientId: utf8ToBytes('ethereumjs'),
    listenPort: null,
  })
  rlpx.events.on('peer:added', (peer) => {
    const hello = peer.getHelloMessage()
    tell({
      hello: hello.clientId,
      version: hello.protocolVersion,
      capabilities: hello.capabilities.map((c) => `${c.name}/${c.version}`),
      id: bytesToUnprefixedHex(hello.id),
    })
  })
  rlpx.events.on('peer:removed', (_, reason, byUs) => tell({ removed: reason, byUs }))
  rlpx.events.on('peer:error', (_, error) => tell({ error: String(error) }))
  rlpx.events.on('error', (error) => tell({ error: String(error) }))
  if (mode === 'listen') {
    rlpx.listen(0, '127.0.0.1', () => {
      tell({ listening: rlpx['_server'].address().port, id: bytesToUnprefixedHex(rlpx.id) })
    })
  } else {
    await rlpx.connect({ id: hexToBytes('0x' + id), address: host, tcpPort: Number(port) })
  }
}
