"""The catalog in Nimble Studio's words: launch profiles (applications under profiles) and streaming images."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from broker.core.catalog import Application, Catalog, Profile, Resolved, semver_key
from broker.core.nimble_ids import launch_profile_id, streaming_image_id
from broker.errors import NotFound
from signaling.routes import Admission

MOST_IMAGES = 20
"""So many streaming images a launch profile names; the others can be asked for by id all the same."""


@dataclass(frozen=True, slots=True)
class StreamingImage:
    """One version of an application."""

    application: Application
    version: str

    @property
    def id(self) -> str:
        """What clients know it by."""
        return streaming_image_id(self.application.id, self.version)


@dataclass(frozen=True, slots=True)
class LaunchProfile:
    """An application under a profile. `images`: the versions that the profile serves, what is meant by none first."""

    application: Application
    profile: Profile
    images: tuple[StreamingImage, ...]

    @property
    def id(self) -> str:
        """What clients know it by."""
        return launch_profile_id(self.application.id, self.profile.id)

    @property
    def name(self) -> str:
        """For people; a profile is named where it is not the application's usual one."""
        usual = self.profile.id == self.application.default_profile
        return self.application.name if usual else f"{self.application.name} ({self.profile.name})"

    def resolve(self, image_id: str | None) -> Resolved | None:
        """What a session of this image runs, or of the usual one; None where the launch profile has no such image."""
        image = next((image for image in self.images if image_id in (None, image.id)), None)
        if image is None:
            return None
        return Resolved(self.application, self.application.versions[image.version], self.profile)


def launch_profiles(catalog: Catalog) -> tuple[LaunchProfile, ...]:
    """All, by id. A profile whose relay would ask for nothing cannot hold streams to their end: it is left out."""
    return tuple(sorted(_launch_profiles(catalog), key=lambda profile: profile.id))


def launch_profile(catalog: Catalog, wanted: str) -> LaunchProfile:
    """The one of this id. Raises NotFound."""
    found = next((profile for profile in _launch_profiles(catalog) if profile.id == wanted), None)
    if found is None:
        raise NotFound("launch profile", wanted)
    return found


def streaming_images(catalog: Catalog) -> tuple[StreamingImage, ...]:
    """All versions that a launch profile has, by id."""
    images = {image.id: image for profile in _launch_profiles(catalog) for image in profile.images}
    return tuple(images[key] for key in sorted(images))


def streaming_image(catalog: Catalog, wanted: str) -> StreamingImage:
    """The one of this id. Raises NotFound."""
    found = next((image for image in streaming_images(catalog) if image.id == wanted), None)
    if found is None:
        raise NotFound("streaming image", wanted)
    return found


def _launch_profiles(catalog: Catalog) -> Iterator[LaunchProfile]:
    for application in catalog.applications.values():
        for profile in catalog.profiles.values():
            images = _images(application, profile)
            if images and profile.admission is not Admission.ADDRESS:
                yield LaunchProfile(application, profile, images)


def _images(application: Application, profile: Profile) -> tuple[StreamingImage, ...]:
    served = [version for version in application.versions if profile.serves(application.id, version)]
    usual = application.version(None).version if application.versions else None
    ordered = sorted(served, key=lambda version: (version == usual, semver_key(version)), reverse=True)
    return tuple(StreamingImage(application, version) for version in ordered)
