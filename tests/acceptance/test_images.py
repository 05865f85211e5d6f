"""Images and the containers that use them: what is in use stays."""

from __future__ import annotations

from pathlib import Path

import pytest
from scene import client_of, wait_until

from warden.errors import ImageError
from warden.rootfs import host, images
from warden.rootfs.images import ImageStore
from warden.testing.daemon import PrivateDaemon

pytestmark = pytest.mark.root


@pytest.mark.parametrize("user_namespace", [True, False])
def test_what_a_container_uses_is_not_removed(
    user_namespace: bool, daemon: PrivateDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(images._RECIPES, "sample", host.build)
    store = ImageStore(f"{daemon.root}/images")
    old = store.build("sample", lambda line: None)
    with client_of(daemon) as client:
        with client.create(image="sample", user_namespace=user_namespace) as container:
            new = store.build("sample", lambda line: None)
            assert store.prune() == 0
            with pytest.raises(ImageError, match="image sample: a container uses it"):
                store.remove("sample")
            assert container.run("ls /etc/passwd").exit_status == 0
        wait_until(lambda: store.prune() == 1)
        assert not Path(old.lower).exists()
        with client.create(image="sample"), pytest.raises(ImageError, match="a container uses it"):
            store.remove("sample")
        assert Path(new.lower).exists()
    wait_until(lambda: _removed(store))
    assert not Path(new.lower).exists()


def _removed(store: ImageStore) -> bool:
    try:
        store.remove("sample")
    except ImageError:  # its last container is just going
        return False
    return True
