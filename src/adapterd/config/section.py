"""What all sections of the configuration share."""

from pydantic import BaseModel, ConfigDict, model_validator


class Section(BaseModel):
    """What all sections share: frozen, and no key that is not known."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _nothing_is_empty(cls, value: object) -> object:
        """Take a section whose keys are all left out for an empty one."""
        return {} if value is None else value
