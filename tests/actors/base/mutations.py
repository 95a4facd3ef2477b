"""Bytes for hypothesis."""

from hypothesis import strategies as st

OTHER_BYTES_MAX = 400


def mutations(genuine: bytes) -> st.SearchStrategy[bytes]:
    """Bytes that are almost those, or not at all."""
    cut = st.integers(0, len(genuine)).map(lambda at: genuine[:at])
    longer = st.binary(max_size=20).map(lambda more: genuine + more)
    other = st.binary(max_size=OTHER_BYTES_MAX)
    place = st.tuples(st.integers(0, len(genuine) - 1), st.integers(0, 255))
    changed = st.lists(place, min_size=1, max_size=4).map(
        lambda places: bytes(dict(places).get(at, was) for at, was in enumerate(genuine))
    )
    return cut | longer | other | changed
