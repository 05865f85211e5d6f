"""Making a container: its directory, its storage, what it begins with, its configuration. All of it or nothing.

While it is made its directory has the file `partial`. Who is killed leaves it so, and the next who makes or destroys a
container of that name removes what there is (destroying.py).
"""

from __future__ import annotations

import errno
import os

from warden.errors import BadInput, HandleTaken, KernelRefused, WrongState
from warden.light import suppress
from warden.lxc import configfile, destroying, reading, rewriting
from warden.lxc.configfile import ConfigFile
from warden.lxc.home import Home
from warden.lxc.settings import LxcConfig
from warden.lxc.storage.base import Root, Wanted
from warden.lxc.storage.kinds import choose, filling
from warden.lxc.storage.overlay import show_root
from warden.lxc.templates.filling import Filling, Template
from warden.lxc.values import uts_name
from warden.model.system import System
from warden.records import dataclass, field
from warden.rootfs.duplicate import give_tree
from warden.undo import Undo

NONE = "none"


@dataclass(frozen=True, slots=True)
class Creation:
    """*config*: the file that it begins with, "" nothing; *backing*: as `kinds.choose` takes it; *args*: the template's."""

    home: Home
    template: str
    config: str = ""
    backing: str = ""
    wanted: Wanted = field(default_factory=Wanted)
    args: tuple[str, ...] = ()
    quiet: bool = False


def create(creation: Creation) -> None:
    """Raises HandleTaken when there is one; BadInput, ConfigError before anything is made; what storage and templates
    raise, after what was made is gone again."""
    from warden.lxc.templates import table  # a copy needs none

    home = creation.home
    begin = _beginning(creation)
    template = None if creation.template == NONE else table.find(creation.template, creation.args)
    if template is not None:
        _check(creation, begin, ours=creation.template in table.OWN)
    elif creation.backing:
        choose(creation.backing, home.lxcpath)
    make_directory(home)
    with home.partial(new=True), Undo() as undo:
        undo.add("container", destroying.remove_remains, home)
        _Making(creation, begin).run(template)
        undo.release()


def make_directory(home: Home) -> None:
    """LXCPATH/NAME; the remains of one that was never finished go first. It is taken once `Home.partial` has marked it.
    Raises HandleTaken."""
    try:
        with home.remains() as found:
            if found:
                destroying.remove_remains(home)
    except WrongState as error:
        raise HandleTaken(error.message, hint=error.hint) from error
    except KernelRefused as error:
        if error.errno != errno.ENOTEMPTY:
            raise
        # empty as it was at the very end, another one took it for a crash's, and has begun in its place
        raise HandleTaken(f"{home.name} is being made by somebody else") from error
    try:
        os.makedirs(home.lxcpath, 0o755, exist_ok=True)
        with suppress(OSError):
            os.rmdir(home.path)  # an empty one is what a crash can leave at the very end
        os.mkdir(home.path)
        os.chmod(home.path, 0o770)
    except FileExistsError as error:
        said = "Container already exists" if home.is_defined else f"{home.path} exists already"
        raise HandleTaken(said, hint="lxc-destroy removes it" if home.is_defined else "it is no container") from error
    except FileNotFoundError as error:  # empty as it still was, another one took it for a crash's
        raise HandleTaken(f"{home.name} is being made by somebody else") from error
    except OSError as error:
        raise KernelRefused("mkdir", home.path, error.errno or 0) from error


def _beginning(creation: Creation) -> ConfigFile:
    if not creation.config:
        return ConfigFile(creation.home.config, ())
    file = configfile.read(creation.config)
    reading.config_of(file)
    return ConfigFile(creation.home.config, file.lines)


def _check(creation: Creation, begin: ConfigFile, *, ours: bool) -> None:
    given = [line for line in begin.lines if line.key and reading.modern_name(line.key) == "lxc.rootfs.path"]
    if given and given[-1].value:
        hint = f"-t {NONE} makes a container of it"
        raise BadInput(f"{creation.config}: {given[-1].key} says where its root file system is already", hint=hint)
    if creation.wanted.directory and not creation.wanted.directory.startswith("/"):
        raise BadInput(f"--dir: {creation.wanted.directory!r} is not an absolute path")
    choose(creation.backing, creation.home.lxcpath)
    if ours:
        uts_name(creation.home.name)


@dataclass(frozen=True, slots=True)
class _Making:
    creation: Creation
    begin: ConfigFile

    def run(self, template: tuple[str, Template] | None) -> None:
        home = self.creation.home
        if template is None:
            self._finish(self._with_directory())
            return
        title, fill = template
        kind = choose(self.creation.backing, home.path)
        root = kind.make(home, self.creation.wanted)
        header = f"# Template used to create this container: {title}\n"
        header += f"# Parameters passed to the template: {' '.join(map(repr, self.creation.args))}\n"
        text = header + self.begin.text
        file = configfile.parse(text if text.endswith("\n") else text + "\n", home.config)
        configfile.write(file.appended("lxc.rootfs.path", str(root)))
        with filling(home, root) as directory:
            lines = fill(Filling(home, directory, self.creation.args, self.creation.quiet))
            config = self._finish(self._added(lines))
            _give(directory, config)
        if root.kind == "overlay":
            show_root(root)  # its owner has changed

    def _with_directory(self) -> ConfigFile:
        """Without a template: the configuration as it was given, and the directory that -dir names."""
        directory = self.creation.wanted.directory
        return self.begin.appended("lxc.rootfs.path", str(Root("dir", directory))) if directory else self.begin

    def _added(self, lines: str) -> ConfigFile:
        """A program that is a template may have written to the file."""
        now = configfile.read(self.creation.home.config).text
        return configfile.parse(now + ("" if now.endswith("\n") else "\n") + lines, self.creation.home.config)

    def _finish(self, file: ConfigFile) -> LxcConfig:
        """Written as it stays; raises ConfigError for what the template made of it."""
        file = rewriting.drawn(file)
        config = reading.config_of(file)
        configfile.write(file)
        os.chmod(file.path, 0o640)
        return config


def _give(directory: str, config: LxcConfig) -> None:
    """A root of a container with mapped ids belongs to them, unless it is shifted at each start."""
    if config.idmap and "idmap=container" not in config.rootfs_options:
        ids, user, own = System(id_map=config.idmap), os.geteuid(), os.getegid()
        # what an ordinary user has made is meant to be root's, as what root has made
        give_tree(
            directory,
            lambda uid: ids.outside(0 if uid == user else uid),
            lambda gid: ids.outside(0 if gid == own else gid, "g"),
        )
