"""Authlib: a confidential web application that sends its secret in the body.

Arguments: the issuer, the client's id and secret, its redirect URI.
"""

import sys

import requests
from authlib.common.security import generate_token
from authlib.integrations.base_client.errors import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.jwk import KeySet

issuer, client_id, secret, redirect_uri = sys.argv[1:]
server = requests.get(issuer + "/.well-known/openid-configuration", timeout=10).json()
assert server["issuer"] == issuer
keys = KeySet.import_key_set(requests.get(server["jwks_uri"], timeout=10).json())


def visit(url):
    print("visit", url, flush=True)
    return input()


def session():
    return OAuth2Session(
        client_id, secret, scope="openid profile email offline_access read", redirect_uri=redirect_uri,
        token_endpoint_auth_method="client_secret_post", revocation_endpoint_auth_method="client_secret_post", code_challenge_method="S256",
    )


def sign_in(**more):
    s, verifier, nonce = session(), generate_token(48), generate_token(20)
    url, state = s.create_authorization_url(server["authorization_endpoint"], code_verifier=verifier, nonce=nonce, **more)
    token = s.fetch_token(server["token_endpoint"], authorization_response=visit(url), state=state, code_verifier=verifier)
    checked = jwt.decode(token["id_token"], keys, algorithms=server["id_token_signing_alg_values_supported"])
    claims = CodeIDToken(
        checked.claims, checked.header,
        options={"iss": {"values": [issuer]}, "aud": {"values": [client_id]}},
        params={"nonce": nonce, "client_id": client_id, "access_token": token["access_token"]},
    )
    claims.validate(leeway=5)
    assert claims["at_hash"]  # which Authlib holds against the access token
    return s, token, claims


def refused(error, does):
    try:
        does()
    except OAuthError as e:
        assert e.error == error, e
        return
    raise SystemExit("not refused: " + error)


s, token, claims = sign_in()
info = s.get(server["userinfo_endpoint"]).json()
assert info["sub"] == claims["sub"] and info["preferred_username"] == "ann", info

# A refresh, and what is known of the token before and after its end.
fresh = s.refresh_token(server["token_endpoint"], refresh_token=token["refresh_token"])
assert fresh["access_token"] != token["access_token"]


def active(text):
    return s.introspect_token(server["introspection_endpoint"], token=text, token_type_hint="access_token").json()["active"]


assert active(fresh["access_token"])
answer = s.revoke_token(server["revocation_endpoint"], token=fresh["access_token"], token_type_hint="access_token")
assert answer.status_code == 200, answer.text
assert not active(fresh["access_token"])

# Signing in again asks for the password when the application wants that.
before = claims["auth_time"]
_, _, claims = sign_in(prompt="login", max_age=0)
assert claims["auth_time"] >= before

# For itself: a token by the client's own credentials.
own = session().fetch_token(server["token_endpoint"], grant_type="client_credentials", scope="read")
assert own["token_type"] == "Bearer" and own["scope"] == "read" and "refresh_token" not in own, own
refused("invalid_scope", lambda: session().fetch_token(server["token_endpoint"], grant_type="client_credentials", scope="write"))
print("done")
