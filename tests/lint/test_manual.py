# SPDX-License-Identifier: MIT
"""The manual says what the code does: keys, defaults, bounds, types, reasons, metrics, examples."""

import json
import re
import subprocess

import pytest

from lib.process import CLEAN_ENVIRONMENT
from lib.tree import SOURCE, read, tree
from lib.vitald import build_directory

SERVICES, CONF, HTTP = "man/vitald.services.5", "man/vitald.conf.5", "man/vitald-http.7"
PLACES = {"Service": (SERVICES, "[SERVICE] SECTION OPTIONS", "[Service]"),
          "Check": (SERVICES, "[CHECK NAME] SECTION OPTIONS", "[Check NAME]"),
          "Daemon": (CONF, "[DAEMON] SECTION OPTIONS", "[Daemon]"),
          "HTTP": (CONF, "[HTTP] SECTION OPTIONS", "[HTTP]"),
          "Agent": (CONF, "[AGENT] SECTION OPTIONS", "[Agent]")}
TYPE = {"key": "Type", "kind": "other", "flags": "required", "default": "-", "min": "-", "max": "-",
        "words": "-"}

# Of systemd and of others, not ours.
FOREIGN = {"ListenStream", "LoadCredential", "LoadCredentialEncrypted", "PrivateTmp", "HttpCode",
           "RuntimeDirectory", "SupplementaryGroups", "WatchdogSec", "FileDescriptorName",
           "AmbientCapabilities", "CapabilityBoundingSet", "SystemCallFilter",
           "MemoryMax", "PrivateDevices", "ProtectProc", "TasksMax", "ProtectClock",
           "ReadWritePaths",
           "ExecStart", "ExecStop", "TimeoutStartSec", "TimeoutStopSec", "Restart", "BindsTo",
           "Requires", "Wants", "WantedBy", "Key", "InhibitDelayMaxSec",
           "DynamicUser", "ExecStartPost", "NotifyAccess", "RestrictAddressFamilies",
           "StartLimitBurst", "SyslogIdentifier"}


class Facts:
    """What tests/programs/schemas.c prints."""

    def __init__(self, text):
        self.schemas, self.timeouts, self.reasons, self.schemes = {}, {}, [], []
        for line in text.splitlines():
            what, name, *rest = line.split("\t")
            if what == "reason":
                self.reasons.append(name)
            elif what == "scheme":
                self.schemes.append(name)
            elif what == "absent":
                pytest.skip(f"the manual is of a build with all check types; {name} is not there")
            elif what == "option":
                keys = ("kind", "flags", "default", "min", "max", "words")
                options[name] = {"key": name, **dict(zip(keys, rest, strict=True))}
            else:
                options = self.schemas[name] = {"Type": TYPE} if name == "Check" else {}
                if what == "type":
                    self.timeouts[name] = rest[0]

    def place(self, schema):
        """Page, section and the name that the index has for it."""
        return PLACES.get(schema, (SERVICES, schema, schema))

    def keys(self):
        return {key for options in self.schemas.values() for key in options}


@pytest.fixture(scope="module")
def facts():
    program = build_directory() / "tests/programs/schemas"
    assert program.exists(), f"no {program}; make it with: make {program.name}"
    return Facts(subprocess.run([program], check=True, text=True, stdout=subprocess.PIPE).stdout)


# -- reading the pages -----------------------------------------------------------------------------

def section(page, title):
    found = re.search(rf'^\.Sh "?{re.escape(title)}"?\n(.*?)(?=^\.Sh |\Z)', read(page),
                      re.MULTILINE | re.DOTALL)
    assert found, f"{page} has no section {title}"
    return found.group(1)


def entries(page, title, tag=r"\.It Cm (\S+)="):
    """The items of a section by name, in their order, with their lines."""
    parts = re.split(rf"^{tag}\n", section(page, title), flags=re.MULTILINE)
    return {name: re.split(r"^\.El", text, flags=re.MULTILINE)[0].splitlines()
            for name, text in zip(parts[1::2], parts[2::2])}


def number(text):
    """As a size is written: 16M."""
    n, suffixes = int(text), "KMGTPE"
    power = max((p for p in range(7) if n and n % 1024 ** p == 0), default=0)
    return f"{n // 1024 ** power}{suffixes[power - 1]}" if power else str(n)


def pattern_of(option):
    """A pattern for the line with which an entry ends."""
    low, high = option["min"], option["max"]
    if option["kind"] == "timespan":
        bounds = f" of at least {low}" if high == "never" else f" from {low} to {high}"
        bounds = bounds.replace(" 0ms ", " 0 ")
    elif option["kind"] == "size" and high != "-":
        bounds = f" from {number(low)} to {number(high)}"
    else:
        bounds = f" from {low} to {high}" if high != "-" else ""
    words = option["words"].replace(" ", ", ")
    text = {"string": "A text", "strings": "A text", "bool": "A boolean",
            "unsigned": "A whole number", "timespan": "A time span", "size": "A size",
            "amount": "A size or a share", "word": f"One of {words}", "words": f"A list of {words}",
            "path": "An absolute path", "paths": "An absolute path",
            "address": "An address", "unit": "The name of a unit",
            "unit-pattern": "The name of a unit with %s in it",
            "units": "The name of a unit",
            "credential": "The name of a credential",
            "header-credentials": "A header and the name of a credential",
            "limits": "A range, with a value's name and a colon in front where it has several",
            "names": "A list of names of checks",
            "other": f"One of {words}" if words != "-" else None}[option["kind"]]
    pattern = re.escape(text + bounds) if text else r"[A-Z][^;]*"
    lists = "strings", "paths", "header-credentials", "limits", "units"
    if "list" in option["flags"] and option["kind"] in lists:
        pattern += ", may be repeated"
    if "required" in option["flags"]:
        return pattern + r"; required\."
    if option["default"] == "-":
        return pattern + r"; (no default|default .+)\."
    return pattern + "; default " + re.escape(option["default"]) + r"\."


# -- keys ------------------------------------------------------------------------------------------

def test_every_key_has_its_entry(facts):
    for schema, options in facts.schemas.items():
        page, title, _ = facts.place(schema)
        assert set(entries(page, title)) == set(options), f"{page}, {title}"


def test_defaults_and_bounds(facts):
    wrong = []
    for schema, options in facts.schemas.items():
        page, title, _ = facts.place(schema)
        described = entries(page, title)
        for key, option in options.items():
            pattern = pattern_of(option)
            if not any(re.fullmatch(pattern, line) for line in described.get(key, [])):
                wrong.append(f"{page}, {title}, {key}=: no line is /{pattern}/")
    assert not wrong, "\n".join(wrong)


def test_default_ports(facts):
    for schema in facts.timeouts:
        for key, option in facts.schemas[schema].items():
            if option["kind"] == "address" and option["min"] != "-":
                assert option["min"] in " ".join(entries(SERVICES, schema)[key]), (schema, key)


def test_index_of_keys(facts):
    index = {}
    for schema, options in facts.schemas.items():
        for key in options:
            index.setdefault(key, []).append(facts.place(schema)[2])
    lines = "".join(f".It Cm {key}=\n{', '.join(sorted(index[key]))}\n"
                    for key in sorted(index, key=str.lower))
    assert lines in section(SERVICES, "INDEX OF KEYS"), f"the index must hold\n{lines}"
    assert section(SERVICES, "INDEX OF KEYS").count("\n.It ") == len(index)


def test_no_other_key_is_named(facts):
    wrong = []
    for path in [*tree("*.[1-8]", below="man"), "README.md", *tree("*.conf", below="data")]:
        for number, line in enumerate(read(path).splitlines(), 1):
            wrong += [f"{path}:{number}: {key}=" for key in
                      re.findall(r"(?<!\*)\b([A-Z]\w*[a-z]\w*)=", line)
                      if key not in facts.keys() | FOREIGN]
    assert not wrong, "\n".join(wrong)


def test_the_default_configuration_holds_every_key(facts):
    text = read("data/vitald.conf")
    assert not re.search(r"^(?!\[)[^#\n]", text, re.MULTILINE), "something is not commented out"
    for schema, title in ("Daemon", "Daemon"), ("HTTP", "HTTP"), ("Check", "Defaults"):
        part = re.search(rf"^\[{title}\]\n(.*?)(?=^\[|\Z)", text, re.MULTILINE | re.DOTALL)
        there = dict(re.findall(r"^#([A-Z]\w+)=(.*)$", part.group(1), re.MULTILINE))
        options = {k: o["default"] for k, o in facts.schemas[schema].items()
                   if k != "Type" and "own" not in o["flags"]}
        assert set(there) == set(options), title
        assert not {k: v for k, v in options.items() if v not in ("-", there[k])}, title


# -- words -----------------------------------------------------------------------------------------

def without_markup(lines):
    return re.sub(r"\n\.(?:Ql|Pa) (\S+)", r" `\1`", f"\n{lines}").replace("\n", " ").strip()


def test_tables_of_types(facts):
    """Each type, what it proves, its default timeout, what it needs: in the manual as in README."""
    page = section(SERVICES, "CHECK TYPES")
    rows = re.findall(r"^\.It Cm (\S+) Ta (.+) Ta (\S+)$", page, re.MULTILINE)
    assert sorted((name, timeout) for name, _, timeout in rows) == sorted(facts.timeouts.items())
    needs = re.findall(r"^\.It Cm (\S+)\n(.*?)(?=\n\.It |\n\.El)",
                       page.partition("What each needs:")[2], re.MULTILINE | re.DOTALL)
    readme = re.findall(r"^\| `([\w-]+)` \| (.+?) \| (\S+) \| (.+) \|$", read("README.md"),
                        re.MULTILINE)
    assert [row[:3] for row in readme] == rows
    assert [(row[0], row[3]) for row in readme] == [(name, without_markup(lines))
                                                    for name, lines in needs]


def test_modules_are_named():
    names = sorted(re.findall(r"^MODULE\((\w+)\)$", read("src/check/drivers.def"), re.MULTILINE))
    said = re.search(r"^The types\n((?:\.Cm .+\n|and\n)+)are modules", read(SERVICES), re.MULTILINE)
    assert re.findall(r"\w+", said.group(1).replace("Cm", "").replace("and", "")) == names


def test_urls_of_probes(facts):
    item = re.search(r"^\.It Fl -probe.*?^\.It ", read("man/vitald.8"), re.M | re.S).group()
    assert set(re.findall(r"^\.Ql (\w+)://", item, re.MULTILINE)) == set(facts.schemes)


def test_reasons(facts):
    assert list(entries(HTTP, "REASONS", r"\.It Cm (\S+)")) == facts.reasons


def properties(schema):
    """The names of all members that an answer may have, those of named things aside."""
    if isinstance(schema, list):
        return set().union(*map(properties, schema))
    if not isinstance(schema, dict):
        return set()
    inner = schema.get("properties", {})
    return set(inner) | set().union(*map(properties, [*schema.values(), *inner.values()]))


def test_fields_of_answers():
    described = {name for line in entries(HTTP, "BODIES", r"\.It Cm (.+)")
                 for name in line.split(" , ")}
    names = set().union(*(properties(json.loads(read(path)))
                          for path in tree("*.json", below="data/schemas")))
    assert described == names


def test_dialects():
    table = re.findall(r"^DIALECT\((\w+)\)", read("src/output/dialects.def"), re.MULTILINE)
    assert list(entries(HTTP, "DIALECTS", r"\.It Cm (\S+)")) == ["json", *table]


def test_findings():
    rules = re.findall(r'\{ "([a-z-]+)", LINT_(\w+), ', read("src/model/lint.c"))
    described = entries("man/vitald.8", "FINDINGS", r"\.It Cm (\S+)")
    assert [(name, f"A {severity.lower()}.") for name, severity in rules] == \
        [(name, lines[0]) for name, lines in described.items()]


def test_metrics():
    families = re.findall(r'\{ "(\w+)", FAMILY_(\w+)', read("src/output/metrics.c"))
    assert list(entries(HTTP, "METRICS", r"\.It Cm (\S+)")) == \
        [name + "_total" * (kind == "COUNTER") for name, kind in families]


def test_journal_fields():
    code = "".join(read(path) for path in tree("*.c", below="src"))
    names = set(re.findall(r'"(VITALD_[A-Z_]+|DOCUMENTATION)"', code))
    assert set(entries("man/vitald.8", "JOURNAL", r"\.It Cm (\S+)")) == names


# -- examples --------------------------------------------------------------------------------------

def examples():
    """The files that pages and readme show, as (where they stand, path, text)."""
    for page in [*tree("*.[1-8]", below="man"), "README.md"]:
        blocks = re.findall(r"^\.Bd -literal[^\n]*\n(.*?)^\.Ed|^```ini\n(.*?)^```", read(page),
                            re.MULTILINE | re.DOTALL)
        for block in map("".join, blocks):
            text = block.replace(r"\&", "").replace(r"\e", "\\")
            path = re.match(r"# (/etc/vitald/\S+\.conf)\n", text)
            if path:
                yield str(page), path.group(1), text


def verify(root):
    done = subprocess.run([build_directory() / "vitald", "--verify", "--strict", f"--root={root}"],
                          text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, env=CLEAN_ENVIRONMENT)
    return done.returncode, done.stdout


@pytest.mark.parametrize("page", sorted({page for page, _, _ in examples()}))
def test_examples_are_good(page, tmp_path):
    for where, path, text in examples():
        if where == page:
            file = tmp_path / path.lstrip("/")
            file.parent.mkdir(parents=True, exist_ok=True)
            assert not file.exists(), f"{path} stands twice in {page}"
            file.write_text(text)
    status, output = verify(tmp_path)
    if absent := re.search(r"the check type \S+ is not installed", output):
        pytest.skip(absent.group())
    assert status == 0, output


def test_every_type_has_an_example(facts):
    for name in facts.timeouts:
        assert f"\nType={name}\n" in section(SERVICES, name), name


def test_the_default_configuration_is_good(tmp_path):
    (tmp_path / "etc/vitald").mkdir(parents=True)
    (tmp_path / "etc/vitald/vitald.conf").write_text(read("data/vitald.conf"))
    status, output = verify(tmp_path)
    assert status == 0, output
