import pytest

from tests.actors.client.talks import SESSION, Talk


@pytest.fixture
def talk() -> Talk:
    """With a session that is open."""
    talk = Talk()
    talk.session.session_id = SESSION
    return talk
