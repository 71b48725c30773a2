"""What the short steps of a dialect's transcripts stand for: themselves small transcripts."""

import dataclasses
import re


@dataclasses.dataclass(frozen=True)
class Dialect:
    """Where a dialect's transcripts are, and its usual beginnings."""

    folder: str
    # Signing up and logging in; {name} is the person's, {username} what they are called on this server.
    person: str
    # Opening a group; {opener}, {name}, {members} as references.
    group: str
    # The path of a socket, with the room in its first group.
    socket: re.Pattern
    # What a client sends to hear whether anything came before, and what answers it.
    ping: str
    pong: str
    # What a new socket may receive where the page leaves it open.
    on_open: str


CHAT_SERVICE = Dialect(
    folder="chat-service",
    person="""
- > POST /api/v1/users/register
  {{"username": "{name}", "email": "{name}@example.org", "password": "correct horse battery", "full_name": "Full {name}"}}
< 201
  {{...self, "id": <id {name}>, "username": "{name}", "email": "{name}@example.org", "full_name": "Full {name}"}}
- > POST /api/v1/users/login
  {{"username": "{name}", "password": "correct horse battery"}}
< 200
  {{"access_token": <jwt {name}.token>, "token_type": "bearer", "expires_in": <count>}}
""",
    group="""
{opener} > POST /api/v1/chats/
  {{"chat_type": "group", "name": "{name}", "participant_ids": [{members}]}}
< 201
  {{...chat, "id": <id {name}>, "name": "{name}", "chat_type": "group"}}
""",
    socket=re.compile(r"/api/v1/ws/(\d+)(?:\?|$)"),
    ping='{{"type": "ping", "chat_id": {room}}}',
    pong='{{"type": "pong", "chat_id": {room}}}',
    # Whether one hears of one's own coming.
    on_open='{{"type": "user_joined", "user_id": {user}, "chat_id": {room}, "timestamp": <time>}}',
)

ALL = {dialect.folder: dialect for dialect in (CHAT_SERVICE,)}
