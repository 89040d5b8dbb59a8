"""The same two reads as the platform's, as one would write them with FastAPI, SQLAlchemy and asyncpg: keys and each
member's standing cached, statements prepared by asyncpg, answers encoded by orjson without a second validation."""

import uuid
from typing import Annotated

from fastapi import Depends, FastAPI, Header, HTTPException, Query
from fastapi.responses import Response
import orjson

import videos
from caller import Caller, authenticate
from database import in_tenant

app = FastAPI(openapi_url=None)


async def caller(authorization: Annotated[str | None, Header()] = None) -> Caller:
    found = await authenticate(authorization)
    if found is None:
        raise HTTPException(401, "The token is not valid.")
    return found


def answer(body) -> Response:
    # asyncpg's UUID is a class of its own, which orjson knows as text only.
    return Response(orjson.dumps(body, default=str), media_type="application/json")


@app.get("/api/v1/videos/{video_id}")
async def show(video_id: uuid.UUID, member: Annotated[Caller, Depends(caller)]) -> Response:
    async with in_tenant(member) as session:
        found = await videos.point(session, member, video_id)
    if found is None:
        raise HTTPException(404, "Not found.")
    return answer(found)


@app.get("/api/v1/videos")
async def page(
    member: Annotated[Caller, Depends(caller)],
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    cursor: str | None = None,
) -> Response:
    async with in_tenant(member) as session:
        return answer(await videos.page(session, member, limit, cursor))
