"""Orders: an API that takes the access tokens of a Doorward server. README.md says how to run it."""

import json
import os
from functools import cache
from typing import Annotated
from urllib.request import urlopen

import jwt
from fastapi import Depends, FastAPI, HTTPException, Security
from fastapi.security import OAuth2PasswordBearer, SecurityScopes
from pydantic import BaseModel, Field

ISSUER = os.environ.get("ISSUER", "http://localhost:8080")
AUDIENCE = os.environ.get("AUDIENCE", ISSUER)  # what tokens for this API have as aud

# What the button Authorize of /docs asks for.
bearer = OAuth2PasswordBearer(
    tokenUrl=ISSUER + "/auth/login",
    refreshUrl=ISSUER + "/auth/refresh",
    scopes={"orders:read": "Read orders", "orders:write": "Make orders"},
)


@cache
def keys() -> jwt.PyJWKClient:
    """The server's public keys, found by its name alone."""
    with urlopen(ISSUER + "/.well-known/oauth-authorization-server", timeout=5) as answer:
        return jwt.PyJWKClient(json.load(answer)["jwks_uri"])


def caller(needed: SecurityScopes, token: Annotated[str, Depends(bearer)]) -> dict:
    """Who calls: the claims of a good token that carries all permissions which a route needs."""
    try:
        key = keys().get_signing_key_from_jwt(token)
        verified = jwt.decode_complete(
            token,
            key,
            algorithms=[key.algorithm_name],  # the key says which, never the token
            issuer=ISSUER,
            audience=AUDIENCE,
            leeway=5,
            options={"require": ["iss", "aud", "exp", "iat", "sub", "jti", "client_id"]},
        )
        if verified["header"].get("typ") != "at+jwt":  # an ID token is not for APIs
            raise jwt.InvalidTokenError
    except (jwt.PyJWKClientConnectionError, OSError):
        raise HTTPException(503, "the keys cannot be fetched", {"Retry-After": "5"}) from None
    except jwt.PyJWTError:
        raise HTTPException(401, "the token is not good", {"WWW-Authenticate": 'Bearer error="invalid_token"'}) from None
    claims = verified["payload"]
    if not set(needed.scopes) <= set(str(claims.get("scope")).split(" ")):
        challenge = f'Bearer error="insufficient_scope", scope="{needed.scope_str}"'
        raise HTTPException(403, f"this needs {needed.scope_str}", {"WWW-Authenticate": challenge})
    return claims


class Order(BaseModel):
    item: str = Field(min_length=1, max_length=200, examples=["tea"])
    quantity: int = Field(ge=1, examples=[1])


app = FastAPI(title="Orders")
orders: list[dict] = []


@app.get("/me")
def me(claims: Annotated[dict, Security(caller)]):
    return {name: claims.get(name) for name in ("sub", "scope", "roles")}


@app.get("/orders")
def read(_: Annotated[dict, Security(caller, scopes=["orders:read"])]):
    return {"items": orders}


@app.post("/orders", status_code=201)
def make(order: Order, claims: Annotated[dict, Security(caller, scopes=["orders:write"])]):
    orders.append({"id": len(orders) + 1, **order.model_dump(), "by": claims["sub"]})
    return orders[-1]
