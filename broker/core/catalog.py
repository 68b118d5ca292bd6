"""What may be streamed: applications, their versions, and the profiles that say how a backend is started.

Pure values and the look-ups over them; `broker.catalog_file` reads them from TOML.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from broker.errors import Invalid, NotFound, Problem
from signaling.routes import Admission, SignalingKind

ANY = "*"
"""The pattern that every application id, or every version, matches."""

DEFAULT_PROFILE = "default"
"""What stands for the application's default profile, as absence does."""

UNNAMED_VERSIONS = ("", "default", "latest")
"""What stands for the application's default version, as absence does."""

SEMVER_PATTERN = (
    r"(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)"
    r"(?:-((?:0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*)(?:\.(?:0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*))*))?"
    r"(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?"
)
"""A version as SemVer 2.0.0 writes it (§ "Is there a suggested regular expression"), in what every engine knows."""

_SEMVER = re.compile(SEMVER_PATTERN)


@dataclass(frozen=True, slots=True)
class Clocks:
    """Bounds on a session's life, in seconds; None is no bound.

    `placement_s` and `start_s` bound its preparation, `first_connection_s` the wait for a first viewer,
    `reconnect_grace_s` the wait for one to come back, `idle_s` the time without input, `max_length_s` the time that it
    is ready (then it ends or, as `at_max_length` says, is stopped), `max_stopped_s` the time that it is stopped (0: it
    cannot be). A warning comes `warn_s` before; None: WARN_MOST_S or a third of the clock, whichever is shorter.
    A ready session may be extended by `extend_s` at a time (None: not at all), `extend_most_s` in all (None: no bound).
    """

    placement_s: float = 60
    start_s: float = 120
    first_connection_s: float = 120
    reconnect_grace_s: float = 60
    idle_s: float | None = None
    max_length_s: float | None = None
    max_stopped_s: float | None = None
    at_max_length: Literal["end", "stop"] = "end"
    warn_s: float | None = None
    extend_s: float | None = None
    extend_most_s: float | None = None


@dataclass(frozen=True, slots=True)
class ApplicationVersion:
    """One version of an application (SemVer), and where an engine of containers finds it."""

    version: str
    container: str = ""
    container_version: str = ""
    helm_chart: str = ""
    helm_chart_version: str = ""


@dataclass(frozen=True, slots=True)
class Application:
    """An application that can be asked for. `versions` are keyed by their version text.

    `default_profile` is the id of the profile meant by a request that names none or `default`.
    """

    id: str
    name: str
    description: str
    tags: tuple[str, ...]
    default_version: str | None
    versions: Mapping[str, ApplicationVersion]
    default_profile: str = DEFAULT_PROFILE

    def version(self, asked: str | None) -> ApplicationVersion:
        """The version of this name; without one the default, else the highest. Raises NotFound."""
        if asked is not None and asked not in UNNAMED_VERSIONS:
            if asked not in self.versions:
                raise NotFound(f"version of application {self.id!r} named", asked)
            return self.versions[asked]
        if self.default_version is not None:
            return self.versions[self.default_version]
        if not self.versions:
            raise NotFound(f"version of application {self.id!r} named", asked or "latest")
        return self.versions[max(self.versions, key=semver_key)]


@dataclass(frozen=True, slots=True)
class ApplicationPattern:
    """Applications that a profile serves: an id or `*`, and versions or `*`."""

    id: str
    versions: tuple[str, ...] = (ANY,)

    def matches(self, application_id: str, version: str) -> bool:
        """Whether this version of this application is meant."""
        return self.id in (ANY, application_id) and (ANY in self.versions or version in self.versions)


@dataclass(frozen=True, slots=True)
class Profile:
    """How a backend is started and reached, what its sessions may ask for, and how long they may last.

    `arguments` maps each argument's name to the pattern that its whole value must match. `slots` is how many backends
    there may be at once, `queue` how many sessions may wait for one. `ready_url` is asked for readiness before a
    backend of `protocol` plain, else its port. Of nodes, those serve it that have all `labels` and, where it names
    `zones`, are in one of them; `command`, `environment` and `slots` then mean nothing.
    """

    id: str
    name: str
    description: str
    applications: tuple[ApplicationPattern, ...]
    provider: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    arguments: Mapping[str, str]
    protocol: Literal["pixelferry", "plain"]
    signaling: SignalingKind
    admission: Admission
    clocks: Clocks
    slots: int
    ready_url: str | None = None
    queue: int = 100
    labels: Mapping[str, str] = field(default_factory=dict)
    zones: tuple[str, ...] = ()

    @property
    def on_nodes(self) -> bool:
        """Whether its backends are those of nodes."""
        return self.provider == "static"

    def serves(self, application_id: str, version: str) -> bool:
        """Whether sessions of this version of this application may use the profile."""
        return any(pattern.matches(application_id, version) for pattern in self.applications)

    def check_arguments(self, arguments: Mapping[str, str | None]) -> dict[str, str]:
        """The arguments that say something; an empty one is the same as none. Raises Invalid, naming each fault."""
        given = {name: value for name, value in arguments.items() if value}
        problems = [problem for name, value in given.items() if (problem := self._problem_with(name, value))]
        if problems:
            raise Invalid(tuple(problems))
        return given

    def _problem_with(self, name: str, value: str) -> Problem | None:
        pattern = self.arguments.get(name)
        if "\0" in value:
            return Problem((name,), "String should hold no NUL", "string_pattern_mismatch")
        if pattern is None:
            allowed = ", ".join(sorted(self.arguments)) or "none"
            text = f"Profile {self.id!r} declares no argument of this name (declared: {allowed})"
            return Problem((name,), text, "extra_forbidden")
        if re.fullmatch(pattern, value) is None:
            text = f"String should match pattern '{pattern}'"
            return Problem((name,), text, "string_pattern_mismatch")
        return None


@dataclass(frozen=True, slots=True)
class Resolved:
    """What a request's names stand for."""

    application: Application
    version: ApplicationVersion
    profile: Profile


@dataclass(frozen=True, slots=True)
class Catalog:
    """All applications and profiles, by id."""

    applications: Mapping[str, Application]
    profiles: Mapping[str, Profile]

    def application(self, application_id: str) -> Application:
        """The application of this id. Raises NotFound."""
        if application_id not in self.applications:
            raise NotFound("application", application_id)
        return self.applications[application_id]

    def profiles_of(self, application: Application, version: str) -> tuple[Profile, ...]:
        """The profiles that serve this version: the application's default first, then by id."""
        ids = sorted(self.profiles, key=lambda key: (key != application.default_profile, key))
        return tuple(self.profiles[key] for key in ids if self.profiles[key].serves(application.id, version))

    def resolve(self, application_id: str, version: str | None, profile_id: str | None) -> Resolved:
        """What these names stand for. Raises NotFound naming the one that is unknown."""
        application = self.application(application_id)
        found = application.version(version)
        name = profile_id if profile_id and profile_id != DEFAULT_PROFILE else application.default_profile
        profile = self.profiles.get(name)
        if profile is None or not profile.serves(application.id, found.version):
            raise NotFound(f"profile for application {application.id!r} {found.version} named", name)
        return Resolved(application, found, profile)

    def with_environment(self, environment: Mapping[str, str]) -> Catalog:
        """The same, every profile having these variables too where it does not set them itself."""
        profiles = {
            key: replace(profile, environment={**environment, **profile.environment})
            for key, profile in self.profiles.items()
        }
        return replace(self, profiles=profiles)


def is_semver(text: str) -> bool:
    """Whether this is a version as SemVer 2.0.0 writes it."""
    return _SEMVER.fullmatch(text) is not None


def semver_key(version: str) -> tuple[tuple[int, int, int], bool, tuple[tuple[bool, int, str], ...]]:
    """Orders versions by precedence (SemVer 2.0.0 §11). Raises ValueError for what is no version."""
    match = _SEMVER.fullmatch(version)
    if match is None:
        raise ValueError(f"{version!r} is no version: write major.minor.patch")
    major, minor, patch, pre = match.groups()
    parts = tuple(
        (False, int(part), "") if part.isdigit() else (True, 0, part) for part in (pre.split(".") if pre else ())
    )
    return (int(major), int(minor), int(patch)), not parts, parts
