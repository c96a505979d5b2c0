"""Reading settings from the environment: `X`, or the file named by `X_FILE`, and a word for misspelt names."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel, ConfigDict, Field, model_validator

from shared.environment import SettingsError, misspelt, read_settings


class Model(BaseModel):
    """A small one: two fields, and a check across them."""

    model_config = ConfigDict(extra="ignore", populate_by_name=True)

    least: int = Field(1, alias="ACI_HOOKS_LEAST")
    most: int = Field(9, alias="ACI_HOOKS_MOST")
    name: str = Field("", alias="ACI_HOOKS_NAME")

    @model_validator(mode="after")
    def _agree(self) -> Model:
        if self.least > self.most:
            raise ValueError("ACI_HOOKS_LEAST: is more than ACI_HOOKS_MOST\nACI_HOOKS_MOST: is less than the least")
        return self


class WithSenders(Model):
    """One that also takes senders' secrets."""

    sender_secrets: dict[str, str] = Field(default_factory=dict)


class Anything(Model):
    """Whatever is wrong with the whole of it."""

    @model_validator(mode="before")
    @classmethod
    def _refuse(cls, values: object) -> object:
        raise ValueError("nothing will do")


def problems(environment: dict[str, str], model: type[Model] = Model) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        read_settings(model, environment)
    assert str(caught.value) == "\n".join(caught.value.problems)
    return caught.value.problems


def test_an_empty_variable_counts_as_unset() -> None:
    settings = read_settings(Model, {"ACI_HOOKS_LEAST": "", "ACI_HOOKS_MOST": "7", "ACI_HOOKS_NAME_FILE": ""})
    assert (settings.least, settings.most) == (1, 7)


def test_a_value_can_come_from_a_file_and_loses_one_newline(tmp_path: Path) -> None:
    (tmp_path / "name").write_text("größe \n\n")
    settings = read_settings(Model, {"ACI_HOOKS_NAME_FILE": str(tmp_path / "name")})
    assert settings.name == "größe \n"


def test_line_ends_within_a_file_are_kept(tmp_path: Path) -> None:
    (tmp_path / "name").write_bytes(b"\r\none\r\ntwo\r\n")
    settings = read_settings(Model, {"ACI_HOOKS_NAME_FILE": str(tmp_path / "name")})
    assert settings.name == "\r\none\r\ntwo"


@pytest.mark.parametrize("content", ["", "\n", "\r\n"])
def test_an_empty_file_counts_as_unset(tmp_path: Path, content: str) -> None:
    (tmp_path / "least").write_bytes(content.encode())
    assert read_settings(Model, {"ACI_HOOKS_LEAST_FILE": str(tmp_path / "least")}).least == 1


def test_a_senders_secret_can_come_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("one,two\n")
    environment = {"ACI_HOOKS_SECRET_GHCR_FILE": str(tmp_path / "secret"), "ACI_HOOKS_SECRET_ACR": "three"}
    assert read_settings(WithSenders, environment).sender_secrets == {"ghcr": "one,two", "acr": "three"}


def test_a_value_given_twice_is_told() -> None:
    told = "ACI_HOOKS_NAME: given twice, as ACI_HOOKS_NAME and as ACI_HOOKS_NAME_FILE; keep one of them"
    assert problems({"ACI_HOOKS_NAME": "x", "ACI_HOOKS_NAME_FILE": "/nowhere"}) == [told]


def test_an_empty_variable_beside_its_file_is_not_given_twice(tmp_path: Path) -> None:
    (tmp_path / "name").write_text("x")
    environment = {"ACI_HOOKS_NAME": "", "ACI_HOOKS_NAME_FILE": str(tmp_path / "name")}
    assert read_settings(Model, environment).name == "x"


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    (tmp_path / "bytes").write_bytes(b"\xff")
    (missing,) = problems({"ACI_HOOKS_NAME_FILE": "/nowhere/name"})
    assert missing.startswith("ACI_HOOKS_NAME_FILE: cannot read '/nowhere/name': ")
    (garbled,) = problems({"ACI_HOOKS_NAME_FILE": str(tmp_path / "bytes")})
    assert garbled.startswith(f"ACI_HOOKS_NAME_FILE: cannot read '{tmp_path}/bytes': ")


@pytest.mark.parametrize(
    "name",
    [
        "OTHER_FILE",
        "AZURE_FEDERATED_TOKEN_FILE",
        "PORTAGE_CONF_FILE",
        "ACI_HOOKS_OF_THE_OTHER_PROGRAM_FILE",
        "ACI_HOOKS_SECRET_GHCR_FILE",  # the model takes none
    ],
)
def test_files_that_are_not_for_this_program_are_not_read(name: str) -> None:
    assert read_settings(Model, {name: "/nowhere"}).least == 1


def test_a_variable_that_is_called_like_a_field_is_no_setting() -> None:
    assert read_settings(WithSenders, {"least": "5", "sender_secrets": "x"}).least == 1


def test_a_check_across_fields_is_told_beside_the_bad_fields() -> None:
    told = problems({"ACI_HOOKS_LEAST": "5", "ACI_HOOKS_MOST": "many", "ACI_HOOKS_NAME_FILE": "/nowhere"})
    assert [problem.partition(":")[0] for problem in told] == ["ACI_HOOKS_NAME_FILE", "ACI_HOOKS_MOST"]
    assert problems({"ACI_HOOKS_LEAST": "5", "ACI_HOOKS_MOST": "4"}) == [
        "ACI_HOOKS_LEAST: is more than ACI_HOOKS_MOST",
        "ACI_HOOKS_MOST: is less than the least",
    ]


def test_a_field_is_told_of_once() -> None:
    told = problems({"ACI_HOOKS_LEAST": "5", "ACI_HOOKS_MOST": "4", "ACI_HOOKS_LEAST_FILE": "/nowhere"})
    assert [problem.partition(":")[0] for problem in told] == ["ACI_HOOKS_LEAST", "ACI_HOOKS_MOST"]


def test_a_problem_of_the_whole_is_told_as_it_is() -> None:
    assert problems({}, Anything) == ["nothing will do"]


@pytest.mark.parametrize(
    ("name", "warning"),
    [
        ("ACI_HOOKS_QUEU", "ACI_HOOKS_QUEU is not a setting; did you mean ACI_HOOKS_QUEUE?"),
        ("ACI_HOOKS_QUEU_FILE", "ACI_HOOKS_QUEU_FILE is not a setting; did you mean ACI_HOOKS_QUEUE?"),
        ("ACI_HOOKS_XYLOPHONE_XYLOPHONE", "ACI_HOOKS_XYLOPHONE_XYLOPHONE is not a setting"),
        ("ACI_HOOKS_QUEUE", None),
        ("ACI_HOOKS_QUEUE_FILE", None),
        ("ACI_HOOKS_SECRET_GHCR", None),
        ("PATH", None),
    ],
)
def test_a_misspelt_name_is_told_with_the_nearest_one(name: str, warning: str | None) -> None:
    assert misspelt([name], ["ACI_HOOKS_QUEUE", "PORT"]) == ([] if warning is None else [warning])


@pytest.mark.parametrize(
    "name",
    [
        "ACI_HOOK_TARGETS",
        "ACI_HOOKS_TARGET",
        "ACI_HOOKS_TARGETSS",
        "ACI_HOKOS_TARGETS",
        "ACI-HOOKS_TARGETS",
        "aci_hooks_targets",
        "CI_HOOKS_TARGETS",
        "ACI_HOOK_TARGETS_FILE",
    ],
)
def test_a_name_that_is_off_by_a_letter_is_told_whatever_it_begins_with(name: str) -> None:
    assert misspelt([name], ["ACI_HOOKS_TARGETS", "PORT"]) == [
        f"{name} is not a setting; did you mean ACI_HOOKS_TARGETS?"
    ]


@pytest.mark.parametrize("name", ["AZURE_TENANT_IDENT", "TARGETS", "SORT", "PORTS", "AZURE_CLIENT_IDX_FILES", "HOME"])
def test_other_programs_variables_are_left_alone(name: str) -> None:
    assert misspelt([name], ["AZURE_TENANT_ID", "AZURE_CLIENT_ID", "ACI_HOOKS_TARGETS", "PORT"]) == []


def test_warnings_are_in_order() -> None:
    assert [item[:11] for item in misspelt(["ACI_HOOKS_B", "ACI_HOOKS_A"], [])] == ["ACI_HOOKS_A", "ACI_HOOKS_B"]
