"""Who is there: this peer, the others, their sites; and whether this peer is well."""

from litestar import Response, Router, get, post
from litestar.params import FromPath, FromQuery, JSONBody

from overlayd.api.problems import ApiProblem
from overlayd.api.service import Here
from overlayd.api.views import Health, LeavingBody, RevocationView, Telling
from protocol.node.events import Leaving, NewsGiven, RecordGiven
from protocol.node.rows import PeerRow, SelfRow, SiteRow, SpentRow, TimetableRow
from protocol.node.status_rows import StatusRow
from protocol.peering import news
from protocol.policy.site_policy import PolicyRow
from protocol.requesting.events import GridsAsked
from protocol.terms.ids import KeyId
from protocol.trust.record import SignedRecord, read_record
from protocol.trust.signing import Untrusted


@get("/self", summary="This peer")
async def this_peer(service: Here) -> SelfRow:
    """Names, address and counters of the peer that answers."""
    return service.peer.view.this_peer()


@get("/peers", summary="Every known peer")
async def peers(service: Here) -> list[PeerRow]:
    """Every known peer, by site and name, with the age of what is known of it."""
    return service.peer.view.peers(service.peer.now())


@get("/sites", summary="Sites, their live hosts together")
async def sites(service: Here) -> list[SiteRow]:
    """Every site, by name."""
    return service.peer.view.sites(service.peer.now())


@get("/timetable", summary="How much of each host is free from now on")
async def timetable(service: Here, host: FromQuery[str] = "") -> list[TimetableRow]:
    """The timetables of all hosts, or of the one with that name."""
    rows = service.peer.view.timetables(service.peer.now())
    return [row for row in rows if host in ("", row.name)]


@get("/status", summary="How this peer is, and what is wrong")
async def status(service: Here) -> StatusRow:
    """The peer's certificate, whom it looked for and what came back, its clock, offers, grids and problems."""
    return service.peer.view.status(service.peer.now())


@get("/health", summary="Whether the daemon's loop turns, and it has the overlay it is to join")
async def health(service: Here) -> Response[Health]:
    """200 with `ok`; 503 with `joining` or `lost` if `join` names somebody and nobody is reached."""
    view, now = service.peer.view, service.peer.now()
    found = view.status(now)
    state = "ok" if found.is_joined else found.overlay
    problems = tuple(problem.what for problem in found.problems)
    said = Health(state, view.name, view.site, now, problems)
    return Response(said, status_code=200 if found.is_joined else 503)


@post("/news", summary="A line for the people of every host", status_code=202)
async def tell(service: Here, data: JSONBody[Telling]) -> Telling:
    """Takes in a line of news. Every peer tells it as an event of kind `news`."""
    if why := news.problem(data.text):
        raise ApiProblem(400, why)
    service.peer.submit(NewsGiven(data.text))
    return data


@post("/leaving", summary="Whether this host is to be stopped for good", status_code=202)
async def leave(service: Here, data: JSONBody[LeavingBody]) -> SelfRow:
    """Its seats as a steward of grids go to other hosts within minutes; `seats` of `/self` says what is left.

    It is remembered across restarts until it is taken back. Answers this peer as it was before.
    """
    service.peer.submit(Leaving(data.leaving))
    if data.leaving:
        # Others may tell of seats that it does not know of. What they tell is checked.
        service.peer.submit(GridsAsked(""))
    return service.peer.view.this_peer()


@post("/revocations", status_code=202, summary="Publish a revocation")
async def revoke(service: Here, data: JSONBody[SignedRecord]) -> RevocationView:
    """Checks a revocation, takes it in and spreads it. No peer that has heard it believes the certificate."""
    try:
        revocation, known = service.peer.view.revocation(data)
    except Untrusted as error:
        raise ApiProblem(400, f"this revocation is not accepted: {error}") from None
    service.peer.submit(RecordGiven(data))
    return RevocationView(
        revocation.what, revocation.serial, revocation.reason, revocation.until_s, known
    )


@get("/policies", summary="The newest policy of each site")
async def policies(service: Here) -> list[PolicyRow]:
    """What each site lets others use, by its name, as far as this peer has heard."""
    return service.peer.view.policies()


@get("/spent/{key:str}", summary="What hosts have by orders of a key")
async def spent(service: Here, key: FromPath[str]) -> list[SpentRow]:
    """What hosts hold and lease by orders of a VO, a member or another site, and of those below it, by site.

    It is what each host last told; one tells of those who have most.
    """
    return service.peer.view.spent(KeyId(key), service.peer.now())


@post("/policies", status_code=202, summary="Publish a site's policy")
async def publish(service: Here, data: JSONBody[SignedRecord]) -> PolicyRow:
    """Checks a policy, takes it in and spreads it. The site's hosts go by it as soon as they have heard it."""
    try:
        policy = service.peer.view.policy(data)
    except Untrusted as error:
        raise ApiProblem(400, f"this policy is not accepted: {error}") from None
    service.peer.submit(RecordGiven(data))
    return PolicyRow(read_record(data).owner, policy)


@get("/metrics", summary="Counters, in Prometheus's text format")
async def metrics(service: Here) -> Response[bytes]:
    """Counters in Prometheus's text format, for a scraper on this host."""
    return Response(service.peer.metrics(), media_type="text/plain; version=0.0.4")


router = Router(
    "/",
    route_handlers=[
        this_peer,
        peers,
        sites,
        timetable,
        status,
        health,
        tell,
        leave,
        revoke,
        policies,
        spent,
        publish,
        metrics,
    ],
    tags=["overlay"],
)
