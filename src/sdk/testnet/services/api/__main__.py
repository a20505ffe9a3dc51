"""Prints the OpenAPI document: `python -m sdk.testnet.services.api > docs/reference/openapi.json`."""

from __future__ import annotations

import json
import sys
from typing import Any

from sdk.testnet.services.api import ApiConfig, make_app, openapi_of
from sdk.testnet.services.store import Store

if __name__ == "__main__":
    nothing: Any = None
    index = Store("sqlite://")
    config = ApiConfig(network_name="any", chain_id=1, public_url="http://any")
    document = openapi_of(make_app(store=index, node=nothing, config=config))
    index.close()
    sys.stdout.write(json.dumps(document, indent=1, sort_keys=True) + "\n")
