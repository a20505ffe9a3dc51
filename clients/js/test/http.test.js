// What a client makes of answers, whatever they are: a server of ours gives them. The real services are in faucet.test.js.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { after, before, describe, test } from "node:test";

import { ApiError, CommunityClient } from "@metanode/provider";
import { parseEvents } from "../src/community.js";

describe("a client", () => {
  let server;
  let client;
  const answers = {
    "/api/v1/network": [200, "application/json", '{"chain_id": 1337}'],
    "/api/v1/blocks/latest": [429, "application/problem+json", '{"title": "Not so fast", "detail": "60 a minute", "code": "rate_limited", "retry_after_s": 7}', { "retry-after": "9" }],
    "/api/v1/validators": [503, "text/html", "<h1>Bad gateway</h1>", { "retry-after": "9" }],
    "/api/v1/search?q=%3Cx%3E+%26": [200, "application/json", "<html>"],
    "/api/v1/list?limit=2": [200, "application/json", '{"items": [1, 2], "next": "a b"}'],
    "/api/v1/list?limit=2&cursor=a+b": [200, "application/json", '{"items": [3], "next": null}'],
    "/api/v1/loop?limit=100": [200, "application/json", '{"items": [1], "next": "x"}'],
    "/api/v1/loop?limit=100&cursor=x": [200, "application/json", '{"items": [1], "next": "x"}'],
    "/api/v1/events": [200, "text/event-stream", ': hello\n\nid: 7\nevent: block\ndata: {"number": 3}\n\ndata: two\ndata: lines\n\n'],
    "/api/v1/network/status": [302, "text/plain", "", { location: "http://127.0.0.1:1/" }],
  };

  before(async () => {
    server = createServer(async (request, response) => {
      if (request.method === "POST") {
        // What it was sent, to be looked at.
        let given = "";
        for await (const piece of request) given += piece;
        response.writeHead(200, { "content-type": "application/json" });
        response.end(JSON.stringify({ url: request.url, kind: request.headers["content-type"], given: JSON.parse(given) }));
        return;
      }
      const [status, kind, body, headers] = answers[request.url] ?? [404, "text/plain", `no ${request.url}`];
      response.writeHead(status, { "content-type": kind, "x-key": request.headers.authorization ?? "", ...headers });
      response.end(body);
    });
    await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
    client = new CommunityClient(`http://127.0.0.1:${server.address().port}/`, { apiKey: "evk_1" });
  });
  after(() => server.close());

  test("gives the answer of a resource", async () => {
    assert.deepEqual(await client.network(), { chain_id: 1337 });
  });

  test("sends a contract's function with its arguments, of which numbers may be of any length", async () => {
    const token = `0x${"aB".repeat(20)}`;
    const sent = await client.callContract(token, "f(uint256,(bool,uint8)[])", [2n ** 255n, [[true, 7]]]);
    assert.deepEqual(sent, {
      url: `/api/v1/contracts/0x${"ab".repeat(20)}/call`,
      kind: "application/json",
      given: { function: "f(uint256,(bool,uint8)[])", arguments: [(2n ** 255n).toString(), [[true, 7]]] },
    });
    assert.deepEqual(await client.encodeCall("../x", "0x12345678"), {
      url: "/api/v1/contracts/..%2Fx/encode",
      kind: "application/json",
      given: { function: "0x12345678", arguments: [] },
    });
    const reason = new Error("enough");
    await assert.rejects(client.encodeCall(token, "f", [], { signal: AbortSignal.abort(reason) }), reason);
  });

  test("throws what a service refuses, in its words, with the time to wait", async () => {
    await assert.rejects(client.block(), (error) => {
      assert.ok(error instanceof ApiError);
      assert.deepEqual([error.status, error.title, error.message, error.code, error.retryAfterS], [429, "Not so fast", "60 a minute", "rate_limited", 7]);
      return true;
    });
    await assert.rejects(client.validators(), { status: 503, retryAfterS: 9, problem: null });
  });

  test("says it when an answer is no JSON, when it is sent elsewhere, and when nobody is there", async () => {
    await assert.rejects(client.search("<x> &"), /expected JSON, found "<html>"/);
    await assert.rejects(client.networkStatus(), { status: 0, title: "unreachable" });
    await assert.rejects(new CommunityClient("http://127.0.0.1:1").network(), (error) => error.status === 0 && error.message.startsWith("http://127.0.0.1:1: "));
    assert.throws(() => new CommunityClient("ftp://127.0.0.1"), /expected http/);
  });

  test("reads all pages of a list, and no list twice", async () => {
    const items = [];
    for await (const item of client.items("/list", {}, { pageItems: 2 })) items.push(item);
    assert.deepEqual(items, [1, 2, 3]);
    await assert.rejects(async () => {
      for await (const item of client.items("/loop")) assert.equal(item, 1);
    }, /came twice/);
  });

  test("reads events until the server ends them", async () => {
    const events = [];
    for await (const event of client.events()) events.push(event);
    assert.deepEqual(events, [
      { event: "block", id: "7", data: { number: 3 } },
      { event: "message", id: null, data: "two\nlines" },
    ]);
  });

  test("stops when it is told to", async () => {
    const reason = new Error("enough");
    await assert.rejects(client.get("/network", {}, { signal: AbortSignal.abort(reason) }), reason);
  });
});

test("events are the same however the stream is cut", async () => {
  const bytes = new TextEncoder().encode('data: {"a": "ä€𝄞"}\r\n\r\nevent: x\r\ndata: 1\r\n\r\n\n\ndata:no space\n\nevent: nothing\n\n');
  const expected = [
    { event: "message", id: null, data: { a: "ä€𝄞" } },
    { event: "x", id: null, data: 1 },
    { event: "message", id: null, data: "no space" },
  ];
  for (let cut = 0; cut <= bytes.length; cut += 1) {
    const parts = [bytes.slice(0, cut), bytes.slice(cut)].filter((part) => part.length);
    const events = [];
    for await (const event of parseEvents(ReadableStream.from(parts))) events.push(event);
    assert.deepEqual(events, expected, `cut at ${cut}`);
  }
});
