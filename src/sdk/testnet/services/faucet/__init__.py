"""The faucet's service: pages for people, an API for programs, and an operator's page on a port of its own.

`app.make_app` is what everybody may reach, `admin.make_admin_app` is the operator's; both stand on one `sdk.testnet.Faucet`. `client` claims from
another faucet of this kind, with the proof of work in native code.
"""
