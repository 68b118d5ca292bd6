"""What can be launched, to be looked up: launch profiles, streaming images; and backups, of which there are none."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from aiohttp import web

from broker.api.body import parsed
from broker.api.nimble.answers import answer
from broker.api.nimble.credentials import region_of
from broker.api.nimble.models import AWS_INSTANCE_TYPES, LaunchProfileStates, MaxResults
from broker.api.nimble.paging import PAGE, page
from broker.api.nimble.paths import Operation
from broker.api.nimble.query import Query
from broker.api.nimble.representation import launch_profile_json, streaming_image_json
from broker.api.nimble.studios import STUDIO, Studios
from broker.core.catalog import Catalog
from broker.core.nimble_catalog import (
    MOST_IMAGES,
    LaunchProfile,
    StreamingImage,
    launch_profile,
    launch_profiles,
    streaming_image,
    streaming_images,
)
from broker.errors import NotFound
from signaling.routes import Json

PROFILES = STUDIO + "/launch-profiles"
PROFILE = PROFILES + "/{launchProfileId}"
IMAGES = STUDIO + "/streaming-images"
BACKUPS = STUDIO + "/streaming-session-backups"


class CatalogOperations:
    """The reading operations. `instance_types` are the ones that launch profiles name; none: AWS's own."""

    def __init__(self, catalog: Callable[[], Catalog], studios: Studios, *, instance_types: Sequence[str]) -> None:
        self._catalog = catalog
        self._studios = studios
        self._instance_types = tuple(instance_types) or AWS_INSTANCE_TYPES

    def operations(self) -> Sequence[Operation]:
        """All of them."""
        return (
            Operation("GET", PROFILES, self.profiles),
            Operation("GET", PROFILE, self.profile),
            Operation("GET", PROFILE + "/details", self.details),
            Operation("GET", IMAGES, self.images),
            Operation("GET", IMAGES + "/{streamingImageId}", self.image),
            Operation("GET", BACKUPS, self.backups),
            Operation("GET", BACKUPS + "/{backupId}", self.backup),
        )

    async def profiles(self, request: web.Request, names: Mapping[str, str]) -> web.Response:
        """ListLaunchProfiles: everybody may launch all of them, so `principalId` does not matter."""
        studio, query = self._studios.named(names), Query(request)
        states, size = query.all("states"), query.one("maxResults")
        parsed(LaunchProfileStates, {"states": states}, "query")
        most = PAGE if size is None else parsed(MaxResults, {"maxResults": size}, "query").maxResults
        known = launch_profiles(self._catalog()) if not states or "READY" in states else ()
        found, token = page(known, _key, of=f"profiles/{studio}", token=query.one("nextToken"), size=most)
        return answer(_list("launchProfiles", [self._profile_json(request, profile) for profile in found], token))

    async def profile(self, request: web.Request, names: Mapping[str, str]) -> web.Response:
        """GetLaunchProfile."""
        return answer({"launchProfile": self._profile_json(request, self._profile(names))})

    async def details(self, request: web.Request, names: Mapping[str, str]) -> web.Response:
        """GetLaunchProfileDetails."""
        profile = self._profile(names)
        images: list[Json] = [_image_json(request, names, image) for image in profile.images[:MOST_IMAGES]]
        return answer(
            {
                "launchProfile": self._profile_json(request, profile),
                "streamingImages": images,
                "studioComponentSummaries": [],
            }
        )

    async def images(self, request: web.Request, names: Mapping[str, str]) -> web.Response:
        """ListStreamingImages: all of them are the studio's own."""
        studio, query = self._studios.named(names), Query(request)
        owner = query.one("owner")
        known = streaming_images(self._catalog()) if owner in (None, names["studioId"]) else ()
        found, token = page(known, _key, of=f"images/{studio}", token=query.one("nextToken"))
        return answer(_list("streamingImages", [_image_json(request, names, image) for image in found], token))

    async def image(self, request: web.Request, names: Mapping[str, str]) -> web.Response:
        """GetStreamingImage."""
        self._studios.named(names)
        image = streaming_image(self._catalog(), names["streamingImageId"])
        return answer({"streamingImage": _image_json(request, names, image)})

    async def backups(self, request: web.Request, names: Mapping[str, str]) -> web.Response:
        """ListStreamingSessionBackups: there never are any."""
        studio = self._studios.named(names)
        page((), lambda item: (), of=f"backups/{studio}", token=Query(request).one("nextToken"))
        return answer({"streamingSessionBackups": []})

    async def backup(self, request: web.Request, names: Mapping[str, str]) -> web.Response:
        """GetStreamingSessionBackup."""
        self._studios.named(names)
        raise NotFound("streaming session backup", names["backupId"])

    def _profile(self, names: Mapping[str, str]) -> LaunchProfile:
        self._studios.named(names)
        return launch_profile(self._catalog(), names["launchProfileId"])

    def _profile_json(self, request: web.Request, profile: LaunchProfile) -> Json:
        return launch_profile_json(profile, region=region_of(request), instance_types=self._instance_types)


def _key(item: LaunchProfile | StreamingImage) -> tuple[str]:
    return (item.id,)


def _image_json(request: web.Request, names: Mapping[str, str], image: StreamingImage) -> Json:
    return streaming_image_json(image, region=region_of(request), studio=names["studioId"])


def _list(name: str, items: Sequence[Json], token: str | None) -> Json:
    return {name: items} if token is None else {name: items, "nextToken": token}
