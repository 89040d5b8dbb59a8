"""Who is calling: the token's signature and claims, and then the member's row."""

import asyncio
import os
import time
import urllib.request
from dataclasses import dataclass
from uuid import UUID

import jwt
from sqlalchemy import Double, cast, extract, select

from database import Actor, Member, Tenant, in_tenant

ISSUER, AUDIENCE, JWKS_URL = os.environ["ISSUER"], os.environ["AUDIENCE"], os.environ["JWKS_URL"]

# Seconds for which a member's standing is believed, as long as the platform does.
STANDING_AGE = 3.0
# Where the cache is emptied; the benchmark's callers are far fewer.
MANY = 50_000


@dataclass(slots=True)
class Caller(Actor):
    pass


def load_keys() -> dict[str, object]:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(JWKS_URL, timeout=5) as response:
        return {key.key_id: key.key for key in jwt.PyJWKSet.from_json(response.read().decode()).keys}


keys: dict[str, object] = {}
standings: dict[tuple[str, str], tuple[float, object]] = {}


async def authenticate(header: str | None) -> Caller | None:
    if header is None or not header.startswith("Bearer "):
        return None
    claims = await verify(header.removeprefix("Bearer "))
    if claims is None or claims.get("token_use") != "id":
        return None
    tenant = UUID(claims["custom:tenantId"])
    standing = await standing_of(tenant, claims["sub"])
    if standing is None or standing.status != "active" or standing.tenant_status != "active":
        return None
    if claims["iat"] <= standing.not_before:
        return None
    return Caller(tenant=tenant, member=standing.id, role=standing.role)


async def verify(token: str) -> dict | None:
    try:
        key_id = jwt.get_unverified_header(token)["kid"]
        if key_id not in keys:
            keys.update(await asyncio.to_thread(load_keys))
        options = {"require": ["exp", "iat", "sub", "custom:tenantId"]}
        return jwt.decode(
            token, keys[key_id], algorithms=["RS256"], audience=AUDIENCE, issuer=ISSUER, options=options
        )
    except (jwt.PyJWTError, KeyError):
        return None


async def standing_of(tenant: UUID, subject: str):
    known = standings.get((tenant, subject))
    if known is not None and known[0] > time.monotonic():
        return known[1]
    wanted = (
        select(
            Member.id,
            Member.role,
            Member.status,
            Tenant.status.label("tenant_status"),
            cast(extract("epoch", Member.not_before), Double).label("not_before"),
        )
        .join(Tenant, Tenant.id == Member.tenant_id)
        .where(Member.tenant_id == tenant, Member.subject == subject)
    )
    async with in_tenant(Actor(tenant=tenant, member="", role="system")) as session:
        standing = (await session.execute(wanted)).one_or_none()
    if len(standings) >= MANY:
        standings.clear()
    standings[(tenant, subject)] = (time.monotonic() + STANDING_AGE, standing)
    return standing
