"""A contract that nobody has shown the source of, and a wallet in the page that writes to it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from eth_utils.address import to_checksum_address

if TYPE_CHECKING:
    from playwright.sync_api import Page
    from tests.testnet.pages.served import Sender, Served

SOURCE = Path(__file__).resolve().parents[2] / "acceptance" / "contracts" / "Counter.vy"
WALLET = """
(() => {
  window.asked = [];
  let chain = "0x1";
  let isKnown = false;
  const answers = {
    eth_requestAccounts: () => ["ADDRESS"],
    eth_chainId: () => chain,
    wallet_switchEthereumChain: ([{ chainId }]) => {
      if (!isKnown) throw Object.assign(new Error("unknown chain"), { code: 4902 });
      chain = chainId;
      return null;
    },
    wallet_addEthereumChain: () => { isKnown = true; return null; },
    eth_sendTransaction: ([transaction]) => {
      if (window.declines) throw Object.assign(new Error("declined"), { code: 4001 });
      return window.signAndSend(transaction);
    },
  };
  const provider = {
    request: async ({ method, params }) => {
      window.asked.push([method, params]);
      return answers[method](params);
    },
  };
  const detail = Object.freeze({ info: Object.freeze({ uuid: "1", name: "Test wallet", icon: "", rdns: "test.wallet" }), provider });
  const announce = () => window.dispatchEvent(new CustomEvent("eip6963:announceProvider", { detail }));
  window.addEventListener("eip6963:requestProvider", announce);
  announce();
})();
"""


def deploy_counter(served: Served) -> str:
    """A Counter that nobody has shown the source of."""
    code = subprocess.run(
        [str(Path(sys.executable).with_name("vyper")), "-f", "bytecode", str(SOURCE)],
        capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip
    created = served.sender.send(data=code)
    address = to_checksum_address(served.sender.done(created)["contractAddress"])
    served.wait_indexed(created)
    return address


def give_wallet(page: Page, sender: Sender) -> None:
    """Put a wallet into a page that signs for an account, and knows another network first."""
    page.add_init_script(WALLET.replace("ADDRESS", sender.address))
    page.expose_function(
        "signAndSend",
        lambda asked: sender.send(
            to=to_checksum_address(asked["to"]), data=asked["data"], value=int(asked["value"], 16)
        ),
    )
