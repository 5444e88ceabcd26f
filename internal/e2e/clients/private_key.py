"""Authlib: a service that proves itself by a key of its own (RFC 7523).

Arguments: the issuer, the client's id, its key in PKCS #8 and base64.
"""

import sys
import time

from authlib.integrations.base_client.errors import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc7523 import PrivateKeyJWT

issuer, client_id, pkcs8 = sys.argv[1:]
token_endpoint = issuer + "/oauth2/token"
pem = f"-----BEGIN PRIVATE KEY-----\n{pkcs8}\n-----END PRIVATE KEY-----\n"


def session(**claims):
    # Left to itself it makes assertions for an hour, which is too long here.
    claims = {"exp": int(time.time()) + 60, **claims}
    auth = PrivateKeyJWT(token_endpoint, alg="PS256", claims=claims)  # for the token endpoint
    return OAuth2Session(client_id, pem, token_endpoint_auth_method=auth)


token = session().fetch_token(token_endpoint, grant_type="client_credentials", scope="read")
assert token["scope"] == "read", token
try:
    session(aud="https://other.example").fetch_token(token_endpoint, grant_type="client_credentials")
except OAuthError as e:
    assert e.error == "invalid_client", e
else:
    raise SystemExit("an assertion for another server is taken")
print("done")
