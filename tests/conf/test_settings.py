"""Settings: one place for defaults, a fixed order of what overrides what, and refusals by name with the remedy."""

from __future__ import annotations

import pickle
import re
import string
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conf.addresses import CredentialsError, RedisUrl, TlsFiles
from conf.redaction import redact
from conf.settings import SettingsError, changed_settings, load_settings, setting_names
from tests.examples import examples

ROOT = Path(__file__).resolve().parents[2]
SECRET = "hunter2-canary"


def dotted_names(section: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in section.items():
        if isinstance(value, dict) and value:
            yield from dotted_names(value, f"{prefix}{key}.")
        else:
            yield prefix + key


def refusal(**given: Any) -> str:
    with pytest.raises(SettingsError) as refused:
        load_settings(environ={}, **given)
    return str(refused.value)


def test_default_toml_holds_every_setting_each_with_a_comment() -> None:
    text = (ROOT / "conf" / "default.toml").read_text()
    parsed = tomllib.loads(text)
    assert list(dotted_names(parsed)) == setting_names()
    for line in text.splitlines():
        if "=" in line and not line.startswith("#"):
            assert "#" in line, f"no comment: {line}"


def test_each_setting_has_a_variable_of_its_own() -> None:
    assert len({name.replace(".", "_") for name in setting_names()}) == len(setting_names())


def test_flags_over_environment_over_file_over_defaults(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("[kafka]\npartitions = 2\nreplication_factor = 3\nrequest_timeout_ms = 4000\n")
    environ = {"WETSTREAM_KAFKA_PARTITIONS": "5", "WETSTREAM_KAFKA_REPLICATION_FACTOR": "6", "OTHER": "x"}
    settings = load_settings(file, {"kafka.partitions": "7"}, environ)
    assert settings.kafka.partitions == 7
    assert settings.kafka.replication_factor == 6
    assert settings.kafka.request_timeout_ms == 4000
    assert settings.pipeline == "main"


def test_changed_settings_are_checked_and_keep_the_others() -> None:
    settings = load_settings(flags={"redis.url": f"redis://:{SECRET}@h/1", "spark.a.b": "c"}, environ={})
    changed = changed_settings(settings, {"serve.port": 9, "serve.host": None, "producer.workers": "3"})
    assert (changed.serve.port, changed.producer.workers) == (9, 3)
    assert changed_settings(changed, {"serve.port": 8400, "producer.workers": 0}) == settings
    with pytest.raises(SettingsError, match=r"serve\.host = 'a b' \(in the flags\)"):
        changed_settings(settings, {"serve.host": "a b"})


def test_settings_are_picklable() -> None:
    settings = load_settings(flags={"redis.url": f"redis://:{SECRET}@h/1"}, environ={})
    assert pickle.loads(pickle.dumps(settings)) == settings


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("kafka.partitons", 1, "is not a setting; did you mean kafka.partitions?"),
        ("partitions", 1, "is not a setting; did you mean kafka.partitions?"),
        ("kafka", 3, "is a section; its settings are bootstrap_servers"),
        ("kafka.partitions.x", 3, "kafka.partitions"),
        ("kafka.partitions", "many", "must be a whole number from 1 to 10,000"),
        ("kafka.partitions", True, "must be a whole number"),
        ("kafka.partitions", 2.0, "must be a whole number"),
        ("kafka.partitions", "-1", "from 1 to 10,000"),
        ("kafka.partitions", "9" * 5000, "from 1 to 10,000"),
        ("kafka.partitions", "", "must be a whole number"),
        ("kafka.partitions", "1_6", "must be a whole number"),
        ("kafka.partitions", "１６", "must be a whole number"),
        ("kafka.partitions", "1e1", "must be a whole number"),
        ("kafka.partitions", "16.0", "must be a whole number"),
        ("kafka.partitions", "0x10", "must be a whole number"),
        ("stream.retry_s", "1_0", "must be a number from 1"),
        ("stream.retry_s", "１０.5", "must be a number from 1"),
        ("stream.retry_s", "nan", "must be a number from 1"),
        ("stream.retry_s", "inf", "must be a number from 1"),
        ("stream.retry_s", "1e999", "must be a number from 1"),
        ("producer.retry_s", float("inf"), "must be a number from 1"),
        ("stream.lease_s", 0, "must be a number from 2"),
        ("producer.verify_digests", "perhaps", "must be true or false"),
        ("producer.verify_digests", 1, "must be true or false"),
        ("producer.verify_digests", "on", "must be true or false"),
        ("producer.verify_digests", "1", "must be true or false"),
        ("producer.compression", "snappy", "allowed are 'lz4', 'zstd', 'gzip', 'none'"),
        ("pipeline", "../x", "must match"),
        ("pipeline", 5, "must match"),
        ("serve.port", 70_000, "from 0 to 65,535"),
        ("serve.host", "a b", "not the name or address of a host"),
        ("serve.allow_origins", "https://a.example/path", "must end behind host and port"),
        ("serve.allow_origins", "a.example", "must be the URL of a server"),
        ("producer.s3_endpoint", "h:9000x", "must be the URL of a server"),
    ],
)
def test_a_wrong_value_is_refused_by_name_with_the_remedy(name: str, value: object, told: str) -> None:
    said = refusal(flags={name: value})
    assert name.split(".")[0] in said and told in said and "(in the flags)" in said
    assert len(said) < 1_500


@pytest.mark.parametrize("name", ["home", "profile", "kafka.client.ca_file"])
@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("s3://bucket/documents", "is a URL"),
        ("hdfs://host/documents", "is a URL"),
        ("simplecache::s3://bucket/x", "is a URL"),
        ("file:///data/x", "write the path alone"),
    ],
)
def test_url_for_a_local_path_is_refused(name: str, value: str, told: str) -> None:
    said = refusal(flags={name: value})
    assert name in said and told in said


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ("s3a://bucket//documents/", "s3://bucket/documents"),
        ("file:///data/x/", "/data/x"),
        ("/data/x", "/data/x"),
    ],
)
def test_documents_may_be_in_an_object_store(value: str, place: str) -> None:
    assert load_settings(flags={"documents.path": value}, environ={}).documents_path == place


@pytest.mark.parametrize("value", ["hdfs://host/documents", "simplecache::s3://bucket/x", "https://host/documents"])
def test_documents_in_a_store_without_conditional_writes_are_refused(value: str) -> None:
    assert "documents.path" in refusal(flags={"documents.path": value})


@pytest.mark.parametrize("name", ["home", "documents.path", "profile", "kafka.client.ca_file"])
@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("$HOME/x", "names a variable"),
        ("/data/${USER}/x", "names a variable"),
        ("~nobody-of-this-name/x", "there is no such user"),
        ("a/\0b", "control character"),
        ("a/\nb", "control character"),
    ],
)
def test_invalid_path_is_refused(name: str, value: str, told: str) -> None:
    said = refusal(flags={name: value})
    assert name in said and told in said


@pytest.mark.parametrize("name", setting_names())
def test_a_value_of_another_type_is_refused_by_name(name: str) -> None:
    for value in (3, -3, 2.5, True, [1], {"a": [1]}, b"x", object()):
        try:
            taken: Any = load_settings(flags={name: value}, environ={})
        except SettingsError as refused:
            assert name in str(refused)
            continue
        for part in name.split("."):
            taken = getattr(taken, part)
        assert type(taken) is type(value) or (isinstance(taken, float) and type(value) is int), (name, value, taken)


def test_a_home_that_is_empty_is_refused() -> None:
    assert "must not be empty" in refusal(flags={"home": ""})
    with pytest.raises(SettingsError, match="must not be empty"):
        load_settings(environ={"WETSTREAM_HOME": ""})


def test_tilde_is_the_users_home() -> None:
    settings = load_settings(flags={"home": "~/ws", "documents.path": "~/documents"}, environ={})
    assert settings.home == Path.home() / "ws"
    assert settings.documents_path == str((Path.home() / "documents").resolve())


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("broker", "has no port: write broker:9092"),
        ("a:1,b", "b has no port"),
        ("a:1,,", "has an empty entry"),
        (",", "has an empty entry"),
        ("SASL_SSL://a:1", "without a scheme"),
        ("a:0", "no port from 1 to 65535"),
        ("a:65536", "no port from 1 to 65535"),
        ("a:nine", "no port from 1 to 65535"),
        ("::1:9092", "in brackets"),
        ("a b:1", "not the name or address of a host"),
        ("a..b:1", "not the name or address of a host"),
        ("300.1.1.1:1", "not an IP address"),
    ],
)
def test_invalid_kafka_addresses_are_refused(value: str, told: str) -> None:
    said = refusal(flags={"kafka.bootstrap_servers": value})
    assert "kafka.bootstrap_servers" in said and told in said


def test_addresses_of_kafka() -> None:
    settings = load_settings(
        flags={"kafka.bootstrap_servers": "a:1, b-c.example.:65535,[::1]:9092,10.0.0.1:9"}, environ={}
    )
    assert str(settings.bootstrap_servers) == "a:1,b-c.example.:65535,[::1]:9092,10.0.0.1:9"
    assert load_settings(environ={}).bootstrap_servers is None


def test_kafka_client_authentication() -> None:
    flags = {"kafka.bootstrap_servers": "a:1", "kafka.client.security_protocol": "SASL_SSL"}
    assert "kafka.client.username" in refusal(flags=flags)
    flags |= {"kafka.client.username": "me", "kafka.client.password": SECRET}
    servers = load_settings(flags=flags, environ={}).bootstrap_servers
    assert servers
    assert SECRET not in repr(servers) + str(servers)
    assert servers.client_options()["sasl_plain_password"] == SECRET
    options = servers.spark_options()
    assert options["kafka.security.protocol"] == "SASL_SSL"
    assert f'password="{SECRET}";' in options["kafka.sasl.jaas.config"]
    assert "sends no user" in refusal(flags={"kafka.client.username": "me"})


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("redis://h/stats", "database is no number"),
        ("redis://h/0/1", "database is no number"),
        ("redis://h/-1", "database is no number"),
        ("redis://h/1?db=2", "names a database twice"),
        ("redis://h:99999/0", "port is no number from 1"),
        ("redis://h:0/0", "port is no number from 1"),
        ("redis://h:x/0", "port is no number from 1"),
        ("redis:///0", "names no host"),
        ("localhost:6379", "does not begin with redis://"),
        ("http://h", "does not begin with redis://"),
        ("unix://run/redis.sock", "whole path"),
        ("redis://h/0?colour=red", "option colour is not known"),
        ("redis://a:1,b:2/0", "port is no number from 1"),
        ("redis+sentinel://a:1,b:2", "names no master"),
        ("redis+sentinel://a:1,b:2/main/x", "database is no number"),
        ("redis+sentinel://a:1,/main/0", "names no host"),
        ("redis+cluster://a:1,b:2/3", "has database 0 only"),
        ("redis+cluster://a:99999", "port is no number from 1"),
        ("redis+cloud://a", "does not begin with redis://"),
        (f"redis://:{SECRET}/x@h:6379", "percent-encoded"),
        (f"redis://:{SECRET}@x@h:6379", "percent-encoded"),
        (f"redis://:{SECRET}#x@h:6379", "percent-encoded"),
        (f"redis://:{SECRET} @h:6379", "holds a space"),
        (f"redis://:{SECRET}@h:port/0", "port is no number"),
        (f"redis:/:{SECRET}@h", "does not begin with redis://"),
    ],
)
def test_invalid_redis_url_is_refused_and_not_shown(url: str, told: str) -> None:
    said = refusal(flags={"redis.url": url})
    assert "redis.url" in said and told in said and SECRET not in said
    with pytest.raises(SettingsError) as refused:
        load_settings(environ={"WETSTREAM_REDIS_URL": url})
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "topology", "nodes", "credentials"),
    [
        ("redis://h", "single", [("h", 6379)], ("", "")),
        ("redis://h:1/0", "single", [("h", 1)], ("", "")),
        ("redis://[::1]:2/0", "single", [("::1", 2)], ("", "")),
        ("rediss://u:p%40@h/3", "single", [("h", 6379)], ("u", "p@")),
        ("unix:///r.sock?db=2", "single", [], ("", "")),
        ("redis+sentinel://:p%2C@a:1,b/main/2", "sentinel", [("a", 1), ("b", 26379)], ("", "p,")),
        ("rediss+cluster://u:p@a,[::1]:7", "cluster", [("a", 6379), ("::1", 7)], ("u", "p")),
    ],
)
def test_redis_urls(url: str, topology: str, nodes: list[tuple[str, int]], credentials: tuple[str, str]) -> None:
    servers = load_settings(flags={"redis.url": url}, environ={}).redis_servers
    assert servers is not None and servers.url.get_secret_value() == url
    assert (servers.url.topology, servers.url.nodes, servers.credentials) == (topology, nodes, credentials)
    assert servers.url.has_tls == url.startswith("rediss")


def test_passwords_from_files(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text(f"{SECRET}\nnot this\n")
    flags = {"redis.url": "redis://u:other@h/0", "redis.client.username": "me", "kafka.bootstrap_servers": "a:1"}
    flags |= {"redis.client.password_file": str(file), "kafka.client.password_file": str(file)}
    flags |= {"kafka.client.security_protocol": "SASL_SSL", "kafka.client.username": "me"}
    settings = load_settings(flags=flags, environ={})
    assert settings.redis_servers and settings.bootstrap_servers
    assert settings.redis_servers.credentials == ("me", SECRET)
    assert settings.bootstrap_servers.client_options()["sasl_plain_password"] == SECRET
    assert SECRET not in repr(settings.redis_servers) + repr(settings.bootstrap_servers) + redact(SECRET)
    file.write_text("\n")
    with pytest.raises(CredentialsError, match=r"redis\.client\.password_file: .* holds no password"):
        _ = settings.redis_servers
    file.unlink()
    with pytest.raises(CredentialsError, match=r"kafka\.client\.password_file: cannot read .*No such file"):
        _ = settings.bootstrap_servers


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        ({"redis.client.username": "me"}, "redis.url is not"),
        ({"redis.url": "redis://h", "redis.client.username": "me"}, "without redis.client.password"),
        ({"redis.url": "redis://h", "redis.client.ca_file": "/ca"}, "redis.url does not encrypt"),
        ({"redis.url": "rediss://h", "redis.client.key_file": "/key"}, "without redis.client.certificate_file"),
        ({"redis.url": "redis://h", "redis.client.sentinel_username": "me"}, "names no Sentinels"),
        (
            {"redis.url": "redis://h", "redis.client.password": SECRET, "redis.client.password_file": "/p"},
            "both set: remove one",
        ),
        ({"kafka.client.ca_file": "/ca"}, "does not encrypt"),
        ({"kafka.client.security_protocol": "SSL", "kafka.client.key_file": "/key"}, "kafka.client.certificate_file"),
    ],
)
def test_settings_of_clients_that_do_not_fit_together(flags: dict[str, str], told: str) -> None:
    said = refusal(flags=flags)
    assert told in said and SECRET not in said


def test_files_of_certificates_are_checked_where_they_are_used(tmp_path: Path) -> None:
    encrypted = tmp_path / "key"
    encrypted.write_text("-----BEGIN ENCRYPTED PRIVATE KEY-----\n")
    certificate = tmp_path / "certificate"
    certificate.write_text("-----BEGIN CERTIFICATE-----\n")
    with pytest.raises(CredentialsError, match=r"key_file: the key in .* is encrypted"):
        TlsFiles("", str(certificate), str(encrypted)).check()
    with pytest.raises(CredentialsError, match=r"certificate_file: .* holds no certificate in PEM form"):
        TlsFiles("", str(encrypted), "").check()
    with pytest.raises(CredentialsError, match="ca_file: cannot read"):
        TlsFiles(str(tmp_path / "nothing")).check()


def test_secrets_are_not_in_the_text_of_settings() -> None:
    flags = {
        "redis.url": f"redis://me:{SECRET}@h:1/0",
        "serve.token": SECRET + SECRET,
        "kafka.client.security_protocol": "SASL_SSL",
        "kafka.client.username": "me",
        "kafka.client.password": SECRET,
    }
    settings = load_settings(flags=flags, environ={})
    assert SECRET not in repr(settings) + str(settings) + str(settings.model_dump()) + settings.model_dump_json()
    assert str(settings.redis.url) == "redis://***@h:1/0"
    assert str(RedisUrl("unix:///r.sock")) == "unix:///r.sock"


@pytest.mark.parametrize(
    "flags",
    [
        {"serve.token": SECRET},
        {"serve.token": 12345},
        {"kafka.bootstrap_servers": f"me:{SECRET}@h:1"},
        {"kafka.bootstrap_servers": f"SASL_SSL://me:{SECRET}@h:1"},
        {"producer.s3_endpoint": f"https://me:{SECRET}@h"},
        {"documents.path": f"s3://me:{SECRET}@bucket/x"},
        {"documents.path": f"https://h/x?X-Amz-Signature={SECRET}"},
        {"kafka.client.password": f"{SECRET}\n"},
        {"redis": f"redis://:{SECRET}@h"},
        {"redis.password": SECRET},
        {f"redis://:{SECRET}@h": "x"},
    ],
)
def test_a_refused_value_shows_no_secret(flags: dict[str, object]) -> None:
    said = refusal(flags=flags)
    assert SECRET not in said and "12345" not in said


@pytest.mark.parametrize("master", ["local", "local[*]", "local[4]", "local[2,3]", "spark://h:7077,h2:7077", "yarn"])
def test_spark_masters(master: str) -> None:
    assert load_settings(flags={"stream.master": master}, environ={}).stream.master == master


@pytest.mark.parametrize(
    "master", ["", "local[0]", "local[", "local[x]", "spark://h", "spark://h:0", "mesos://h:1", "h:1"]
)
def test_invalid_spark_master_is_refused(master: str) -> None:
    assert "stream.master" in refusal(flags={"stream.master": master})


@pytest.mark.parametrize("memory", ["lots", "0g", "511m", "2", "2t", "99999999g", "-2g"])
def test_invalid_memory_size_is_refused(memory: str) -> None:
    assert "as in 2g or 1500m" in refusal(flags={"stream.driver_memory": memory})


def test_one_topic_for_both_is_refused() -> None:
    for records, progress in (("wet", "wet"), ("wet.a", "wet_a"), ("{pipeline}", "main")):
        said = refusal(flags={"kafka.records_topic": records, "kafka.progress_topic": progress})
        assert "kafka.records_topic and kafka.progress_topic are the same topic" in said
    for topic in ("", ".", "..", "a b", "{x}", "__consumer_offsets", "a" * 250):
        assert "kafka.records_topic" in refusal(flags={"kafka.records_topic": topic})


def test_topic_names_default_to_the_pipeline_and_can_be_set() -> None:
    settings = load_settings(flags={"pipeline": "p", "kafka.records_topic": "wet-{pipeline}"}, environ={})
    assert (settings.records_topic, settings.progress_topic) == ("wet-p", "p.wet-progress")


def test_section_and_value_under_one_name_are_refused() -> None:
    assert "remove one" in refusal(flags={"kafka": 1, "kafka.partitions": 2})
    assert "remove one" in refusal(flags={"kafka.partitions": 2, "kafka": 1})


@pytest.mark.parametrize(
    "variable", ["WETSTREAM_KAFKA_PARTITION", "WETSTREAM_KAFKA", "wetstream_kafka_partitions", "WETSTREAM_"]
)
def test_environment_variable_without_a_setting_is_reported(variable: str) -> None:
    with pytest.raises(SettingsError, match=f"environment variable {variable} is not a setting"):
        load_settings(environ={variable: "1"})


def test_a_wrong_variable_is_refused_by_name() -> None:
    with pytest.raises(SettingsError, match=r"kafka\.partitions = 0 \(in the environment\)"):
        load_settings(environ={"WETSTREAM_KAFKA_PARTITIONS": "0"})


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"kafka = [", r"line 1"),
        (b"[kafka]\npartitions = = 3\n", r"line 2, column 14: is not valid TOML"),
        (b"[kafka]\n\xff\xfe = 3\n", r"line 2: is not UTF-8"),
        ("pipeline = 3".encode("utf-16"), r"line 1: is not UTF-8"),
        (b"a = " + b"[" * 5_000, r"is not valid TOML"),
        (b"a = " + b"9" * 5_000, r"is not valid TOML"),
        (b'[kafka]\n\npartitions = "8"\n', r"line 3\): must be a whole number without quotes"),
        (b"[kafka]\npartitions = 8.0\n", r"line 2\): must be a whole number"),
        (b"[kafka]\npartitions = true\n", r"line 2\): must be a whole number"),
        (b"[stream]\nretry_s = nan\n", r"line 2\): must be a number"),
        (b"[stream]\nretry_s = 1979-05-27\n", r"line 2\): must be a number"),
        (b'[kafka.client]\nsecurity_protocol = "TLS"\n', r"line 2\): allowed are"),
        (b"[redis]\n\nport = 1\n", r"redis.port \(in .*line 3\) is not a setting"),
        (b"[[kafka]]\npartitions = 3\n", r"kafka \(in .*line 1\) is a section"),
        (b'"kafka.partitions" = 3\n', r"is not a setting"),
        (b"pipeline = 2016-01-01\n", r"pipeline"),
    ],
)
def test_config_file_errors_name_file_and_line(tmp_path: Path, content: bytes, told: str) -> None:
    file = tmp_path / "wrong.toml"
    file.write_bytes(content)
    said = refusal(config=file)
    assert str(file) in said and re.search(told, said), said


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    assert "cannot read the settings file" in refusal(config=tmp_path / "missing.toml")
    assert "cannot read the settings file" in refusal(config=tmp_path)
    assert "larger than 4 MB" in refusal(config=Path("/dev/zero"))


def test_byte_order_mark_and_crlf_are_accepted(tmp_path: Path) -> None:
    file = tmp_path / "bom.toml"
    file.write_bytes(b'\xef\xbb\xbfpipeline = "here"\r\n[kafka]\r\npartitions = 3\r\n')
    settings = load_settings(file, environ={})
    assert (settings.pipeline, settings.kafka.partitions) == ("here", 3)


# Whatever people write: either settings or one explained refusal, and a value that is taken means what was written.
WRITTEN = """0 1 8 -1 1e9 nan inf true a:1 a:1,b:2 , h :// redis:// redis://h/0 s3://b ~ $HOME file: @ : / [::1]
local[ 2g {pipeline} . \0"""
SCRAPS = st.sampled_from([*WRITTEN.split(), "\n", " "])
VALUES = (
    st.lists(SCRAPS | st.text(string.printable, max_size=3), max_size=4).map("".join)
    | st.text(max_size=12)
    | st.integers()
    | st.floats()
    | st.booleans()
    | st.lists(st.integers(), max_size=2)
    | st.dictionaries(st.text(max_size=3), st.integers(), max_size=2)
    | st.binary(max_size=4)
)


@pytest.mark.fuzz
@examples(100)
@given(flags=st.dictionaries(st.sampled_from(setting_names()) | st.text("abk.", max_size=6), VALUES, max_size=3))
def test_any_flags_give_settings_or_a_refusal(flags: dict[str, Any]) -> None:
    try:
        settings = load_settings(flags=flags, environ={})
    except SettingsError as refused:
        assert any(name.partition(".")[0][:20] in str(refused) for name in flags)
        return
    for name, value in flags.items():
        taken: Any = settings
        for part in name.split("."):
            taken = getattr(taken, part)
        if isinstance(value, bool | int) and isinstance(taken, bool | int | float):
            assert taken == value and isinstance(taken, bool) == isinstance(value, bool)
    assert settings.records_topic != settings.progress_topic
    assert "://" not in str(settings.home) and settings.home.is_absolute()


@pytest.mark.fuzz
@examples(100)
@given(environ=st.dictionaries(st.sampled_from(setting_names()), VALUES.filter(lambda value: isinstance(value, str))))
def test_any_environment_gives_settings_or_a_refusal(environ: dict[str, str]) -> None:
    variables = {f"WETSTREAM_{name.upper().replace('.', '_')}": value for name, value in environ.items()}
    try:
        load_settings(environ=variables)
    except SettingsError as refused:
        assert any(name in str(refused) for name in environ)


@pytest.mark.fuzz
@examples(100)
@given(
    content=st.binary(max_size=40)
    | st.lists(
        st.sampled_from(
            [
                "[kafka]",
                "[",
                "]",
                "=",
                "\n",
                "partitions",
                "1",
                '"',
                "'''",
                "nan",
                "{",
                "}",
                ".",
                "#",
                "[[redis]]",
                "\ufeff",
            ]
        )
    ).map(lambda parts: "".join(parts).encode())
)
def test_any_file_gives_settings_or_a_refusal(content: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    file = tmp_path_factory.getbasetemp() / "any.toml"
    file.write_bytes(content)
    try:
        load_settings(file, environ={})
    except SettingsError as refused:
        assert str(file) in str(refused)
