"""Which cleaning rules a pipeline uses."""

from __future__ import annotations

from conf.errors import ExplainedError
from conf.profiles import Profile, load_profile
from conf.settings import Settings
from sinks.documents.generations import Generations

DEFAULT_PROFILE = "english"


class OtherRulesError(ExplainedError):
    """The documents were made with other rules than those asked for."""


def pipeline_profile(settings: Settings, *, replace_rules: bool = False) -> Profile:
    """Load the profile that is asked for, else the one that the pipeline was made with, else the default.

    Args:
        settings: Settings of the pipeline; `profile` is empty when none is asked for.
        replace_rules: Allow other rules than those of the live documents, as a replay does.

    Raises:
        ProfileError: There is no such profile, or it is not valid.
        DocumentsError: The pipeline was made with other rules.
    """
    generations = Generations.of(settings)
    found = generations.open_live()
    if settings.profile or found is None:
        profile = load_profile(settings.profile or DEFAULT_PROFILE)
    else:
        profile = generations.profile_of(found.documents)
    if found is not None and not replace_rules:
        generations.check_rules(found.documents, profile.rules)
    return profile


def stored_profile(settings: Settings) -> Profile | None:
    """Load the profile that the live documents were made with; None if there are none, or its rules have changed since.

    Raises:
        ProfileError: There is no such profile any more, or it is not valid.
        DocumentsError: The documents cannot be read.
    """
    generations = Generations.of(settings)
    found = generations.open_live()
    if found is None:
        return None
    profile = generations.profile_of(found.documents)
    return profile if profile.rules_hash == found.documents.properties["rules_hash"] else None


def require_same_rules(settings: Settings, profile: Profile) -> None:
    """Raise OtherRulesError if these are not the rules of the live documents."""
    found = Generations.of(settings).open_live()
    stored = {} if found is None else found.documents.properties
    if stored and stored.get("rules_hash") != profile.rules_hash:
        raise OtherRulesError(
            f"the documents table holds only the words that profile {stored.get('profile')} has kept: "
            "other rules need the pages, so use `wetstream replay --from topic` or `--from files SOURCE...`"
        )
