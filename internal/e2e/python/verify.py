"""What an API in Python does with a token.

Arguments: the issuer, an access token, and one whose signature was changed.
"""

import json
import sys

import jwt

issuer, token, forged = sys.argv[1:]
keys = jwt.PyJWKClient(issuer + "/oauth2/jwks")


def verify(text, audience=issuer):
    return jwt.decode(
        text,
        keys.get_signing_key_from_jwt(text).key,
        algorithms=["ES256"],
        audience=audience,
        issuer=issuer,
        options={"require": ["exp", "iat", "sub", "aud", "iss", "jti", "client_id"]},
    )


def refused(error, *args):
    try:
        verify(*args)
    except error:
        return
    raise SystemExit(f"not refused: {error.__name__}")


assert jwt.get_unverified_header(token)["typ"] == "at+jwt"
claims = verify(token)
refused(jwt.InvalidSignatureError, forged)
refused(jwt.InvalidAudienceError, token, "https://other.example")
print(json.dumps({"sub": claims["sub"], "scope": claims["scope"]}))
