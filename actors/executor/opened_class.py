"""The class of an object that is opened, or what keeps the object's state where other code is found."""

from fleet.errors import ConfigError, DataClassUnavailable, OtherCode
from fleet.objects.class_refs import check_code, class_name, decode_class, encode_class, version_of
from fleet.objects.declare import check_data_class
from fleet.objects.sealed import SealedState


def opened_class(data_class: bytes) -> type | SealedState:
    """The class whose code is in force, if that is here. What keeps a class from being loaded is no error:
    its module may have been moved, and the member still votes and keeps the log."""
    try:
        cls = decode_class(data_class)
        check_data_class(cls)
    except (DataClassUnavailable, ConfigError) as error:
        version, fingerprint = version_of(data_class)
        under = f"{class_name(data_class)} of version {version} ({fingerprint[:12]})"
        what = f"its commands were proposed under {under}, which cannot be loaded here: {error.what}"
        return SealedState(OtherCode(what))
    try:
        check_code(data_class, cls)
    except OtherCode as error:
        return SealedState(error, _offer(data_class, cls))
    return cls


def _offer(data_class: bytes, cls: type) -> bytes:
    """The class that was found, if its groups may change to it by themselves. Back they do not."""
    if not getattr(cls, "__fleet_auto_upgrade__", False):
        return b""
    found = encode_class(cls)
    return found if version_of(found)[0] >= version_of(data_class)[0] else b""
