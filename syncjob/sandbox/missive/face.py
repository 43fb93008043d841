"""Missive's API over the fake account: requests in, responses out, no sockets."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable
from typing import Any

from ..exchange import Refused, Request, Response, json_response
from ..files import SignedFiles, content
from ..routes import Routes
from . import render
from .errors import refusal
from .mailboxes import conversation_page, read_mailbox
from .paging import page_until, read_number, read_paging
from .things import Attachment, Conversation, Message
from .world import MissiveWorld

ROOT = "/v1"


class MissiveFace:
    """Answers as Missive does, for the user whose token the request carries."""

    name = "missive"

    def __init__(self, world: MissiveWorld, files: SignedFiles) -> None:
        self.world = world
        self._files = files
        self._kept: tuple[int, dict[str, Attachment]] = (-1, {})  # the attachments of one revision of the world
        self._routes: Routes[Response] = Routes(
            [
                (f"{ROOT}/conversations", self._conversations),
                (f"{ROOT}/conversations/{{id}}", self._conversation),
                (f"{ROOT}/conversations/{{id}}/messages", self._messages_of),
                (f"{ROOT}/conversations/{{id}}/drafts", self._drafts_of),
                (f"{ROOT}/conversations/{{id}}/comments", self._comments_of),
                (f"{ROOT}/conversations/{{id}}/posts", self._posts_of),
                (f"{ROOT}/messages", self._messages_by_header),
                (f"{ROOT}/messages/{{ids}}", self._messages),
                (f"{ROOT}/organizations", self._organizations),
                (f"{ROOT}/teams", self._teams),
                (f"{ROOT}/users", self._users),
                (f"{ROOT}/shared_labels", self._labels),
            ]
        )
        self._file_route: Routes[Response] = Routes([("/attachments/{id}/{filename}", self._file)])

    def respond(self, request: Request) -> Response:
        """The answer to any request on the API or on the attachments' host."""
        try:
            if found := self._file_route.find(request.path):
                return found[0](request, *found[1])
            user_id = self._user(request)
            found = self._routes.find(request.path)
            if found is None:
                raise Refused(self._not_found())
            if request.method != "GET":
                raise Refused(refusal(405, "The sandbox is read only over HTTP"))
            answer, segments = found
            return answer(request, user_id, *segments)
        except Refused as refused:
            return refused.response

    def _user(self, request: Request) -> str:
        scheme, _, token = (request.header("Authorization") or "").partition(" ")
        if scheme != "Bearer" or not token.startswith("missive_pat-") or token not in self.world.tokens:
            raise Refused(refusal(401, "Authentication token is invalid or has been revoked"))
        return self.world.tokens[token]

    def _not_found(self) -> Response:
        return Response(404) if self.world.switches.missive_not_found_body == "empty" else refusal(404, "Not found")

    def _no_access(self) -> Response:
        return refusal(403, "Forbidden") if self.world.switches.missive_lost_access == 403 else self._not_found()

    # --- conversations ---

    def _conversations(self, request: Request, user_id: str) -> Response:
        test = read_mailbox(request, self.world)
        paging = read_paging(request, default=min(25, self._most()), most=self._most())
        rows = conversation_page(self.world, user_id, test, paging)
        return json_response(200, {"conversations": [render.conversation_json(row, self.world, user_id) for row in rows]})

    def _most(self) -> int:
        return self.world.switches.missive_conversation_limit

    def _conversation(self, request: Request, user_id: str, conversation_id: str) -> Response:
        """A one-element array; the id of a merged conversation answers with the survivor."""
        row = self._find(conversation_id, user_id, stub=True)
        return json_response(200, {"conversations": [render.conversation_json(row, self.world, user_id)]})

    def _find(self, conversation_id: str, user_id: str, *, stub: bool = False) -> Conversation:
        self._check_ids([conversation_id])
        row = self.world.conversations.get(self.world.survivor(conversation_id.lower()))
        if row is None:
            raise Refused(self._not_found())
        if user_id not in row.flags and not (stub and user_id in row.guest_ids):
            raise Refused(self._no_access())
        return row

    def _check_ids(self, ids: Iterable[str]) -> None:
        for text in ids:
            try:
                uuid.UUID(text)
            except ValueError:
                response = refusal(400, "Invalid id") if self.world.switches.missive_malformed_id == 400 else self._not_found()
                raise Refused(response) from None

    # --- children of a conversation ---

    def _children(
        self,
        request: Request,
        user_id: str,
        conversation_id: str,
        key: str,
        children: Callable[[Conversation], list[Any]],
        stamp: Callable[[Any], int],
        to_json: Callable[[Any], dict[str, Any]],
    ) -> Response:
        if conversation_id in self.world.merged and self.world.switches.missive_merged_children == "404":
            raise Refused(self._not_found())
        row = self._find(conversation_id, user_id)
        paging = read_paging(request, default=10, most=10)
        newest_first = sorted(children(row), key=lambda child: (stamp(child), child.id), reverse=True)
        shown = page_until(newest_first, paging, stamp, self.world.switches)
        return json_response(200, {key: [to_json(child) for child in shown]})

    def _messages_of(self, request: Request, user_id: str, conversation_id: str) -> Response:
        def to_json(message: Message) -> dict[str, Any]:
            return {**render.message_json(message, self.world, self._link), "draft": False}

        return self._children(request, user_id, conversation_id, "messages", self.world.messages_of, _when, to_json)

    def _drafts_of(self, request: Request, user_id: str, conversation_id: str) -> Response:
        def drafts(row: Conversation) -> list[Message]:
            return [self.world.messages[draft_id] for draft_id in row.draft_ids]

        def to_json(message: Message) -> dict[str, Any]:
            return {**render.message_json(message, self.world, self._link), "draft": True}

        return self._children(request, user_id, conversation_id, "drafts", drafts, _when, to_json)

    def _comments_of(self, request: Request, user_id: str, conversation_id: str) -> Response:
        return self._children(
            request,
            user_id,
            conversation_id,
            "comments",
            lambda row: list(row.comments),
            lambda comment: int(comment.created_at),
            lambda comment: render.comment_json(comment, self.world, user_id),
        )

    def _posts_of(self, request: Request, user_id: str, conversation_id: str) -> Response:
        return self._children(
            request,
            user_id,
            conversation_id,
            "posts",
            lambda row: list(row.posts),
            lambda post: int(post.created_at),
            render.post_json,
        )

    # --- messages ---

    def _messages(self, request: Request, user_id: str, ids: str) -> Response:
        """One id: a bare object. Several: an array, where a dead id is left out or fails the whole call."""
        wanted, switches = ids.split(","), self.world.switches
        self._check_ids(wanted)
        if len(wanted) == 1:
            return json_response(200, {"messages": self._full(self._find_message(wanted[0], user_id), user_id)})
        if len(wanted) > switches.missive_batch_max:
            raise Refused(refusal(400, f"max number of ids is {switches.missive_batch_max}"))
        found: list[Message] = []
        for message_id in dict.fromkeys(wanted):
            try:
                found.append(self._find_message(message_id, user_id))
            except Refused:
                if switches.missive_batch_dead_id == "404":
                    raise
        if switches.missive_batch_order == "reversed":
            found.reverse()
        if switches.missive_batch_order == "newest first":
            found.sort(key=_when, reverse=True)
        return json_response(200, {"messages": [self._full(message, user_id) for message in found]})

    def _find_message(self, message_id: str, user_id: str) -> Message:
        message = self.world.messages.get(message_id.lower())
        if message is None:
            raise Refused(self._not_found())
        if user_id not in self.world.conversations[message.conversation_id].flags:
            raise Refused(self._no_access())
        return message

    def _messages_by_header(self, request: Request, user_id: str) -> Response:
        wanted = request.param("email_message_id")
        if not wanted:
            raise Refused(refusal(400, "email_message_id is required"))
        found = [
            message
            for message in self.world.messages.values()
            if message.email_message_id == wanted and user_id in self.world.conversations[message.conversation_id].flags
        ]
        found.sort(key=_when, reverse=True)
        return json_response(200, {"messages": [self._full(message, user_id) for message in found[:10]]})

    def _full(self, message: Message, user_id: str) -> dict[str, Any]:
        return render.full_message_json(message, self.world, user_id, self._link)

    def _link(self, item: Attachment) -> str:
        return self._files.link(item.id, item.filename, seconds=self.world.switches.missive_link_seconds)

    def _file(self, request: Request, file_id: str, filename: str) -> Response:
        item = self._attachments().get(file_id)
        if item is None:
            return Response(403)
        size = item.size if item.real_size is None else item.real_size
        return self._files.respond(request, file_id, f"{item.media_type}/{item.sub_type}", content(item.content_of or item.id, size))

    def _attachments(self) -> dict[str, Attachment]:
        if self._kept[0] != self.world.revision:
            items = {item.id: item for message in self.world.messages.values() for item in message.attachments}
            self._kept = self.world.revision, items
        return self._kept[1]

    # --- directories (section 6) ---

    def _organizations(self, request: Request, user_id: str) -> Response:
        rows = [{"id": row.id, "name": row.name} for row in self.world.organizations.values()]
        return self._directory("organizations", rows, request)

    def _teams(self, request: Request, user_id: str) -> Response:
        return self._directory("teams", [render.team_json(row) for row in self.world.teams.values()], request)

    def _users(self, request: Request, user_id: str) -> Response:
        rows = [{**render.user_json(row), "me": row.id == user_id} for row in self.world.users.values()]
        return self._directory("users", rows, request)

    def _labels(self, request: Request, user_id: str) -> Response:
        return self._directory("shared_labels", [render.label_json(row, self.world) for row in self.world.labels.values()], request)

    def _directory(self, key: str, rows: list[dict[str, Any]], request: Request) -> Response:
        paging, offset = read_paging(request, default=50, most=200), read_number(request, "offset", 0)
        organization = request.param("organization")
        chosen = [row for row in rows if organization is None or row.get("organization", organization) == organization]
        return json_response(200, {key: chosen[offset : offset + paging.limit]})


def _when(message: Message) -> int:
    return message.when
