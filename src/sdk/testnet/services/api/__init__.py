"""The community API: the index and a node for programs, over HTTP.

`make_app` puts it together; routes are in `routes_...`, the documents that they answer in `documents`, Etherscan's dialect in `etherscan`. Routes only
call queries and a node; they hold no SQL.
"""

from sdk.testnet.services.api.app import make_app, openapi_of
from sdk.testnet.services.api.configuration import ApiConfig, ApiKey, new_key, read_keys

__all__ = ["ApiConfig", "ApiKey", "make_app", "new_key", "openapi_of", "read_keys"]
