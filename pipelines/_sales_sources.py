"""Where a day's drop comes from: a folder, a web folder, or a database table `sales`."""

from __future__ import annotations

import csv
import http.client
import io
import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterable
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from engine import RetryAfter
from pipelines._sales_drop import COLUMNS, DROP_BYTES_MAX, DataFault, DropCut, unpack

if TYPE_CHECKING:
    from sqlalchemy import URL, ColumnClause, Connection

HTTP_TIMEOUT_S = 30.0
CONNECT_TIMEOUT_S = 15
RETRY_AFTER_S_MAX = 300
PASSWORD_NAME = "SALES_DB_PASSWORD"  # noqa: S105 - the secret's name

_GONE = {http.HTTPStatus.NOT_FOUND, http.HTTPStatus.GONE}
_BUSY = {http.HTTPStatus.REQUEST_TIMEOUT, http.HTTPStatus.TOO_MANY_REQUESTS}
_BUSY_FOR = {http.HTTPStatus.TOO_MANY_REQUESTS, http.HTTPStatus.SERVICE_UNAVAILABLE}
_SERVER_ERROR = 500
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+]*:(//|/)")
_PASSWORD_KEYS = {"password", "passwd", "pwd"}
_CONNECT_TIMEOUT_DRIVERS = {"psycopg", "psycopg2", "pymysql", "mysqldb"}


class SourceFault(ValueError):
    """The source cannot be used as it is given; another try finds the same."""


class SourceDown(ConnectionError):
    """The source does not answer just now; worth another try."""


class Drop(NamedTuple):
    """A day's lines as CSV, and the name that faults in them are reported under."""

    name: str
    data: bytes


def read_drop(
    source: str, day: date, root: Path, password: Callable[[], str | None]
) -> Drop | None:
    """Read the drop of `day`, or give None where the source has none (yet).

    `source` is a folder (relative to `root`), an http(s) URL of one, or an SQLAlchemy URL.
    """
    if re.match(r"https?://", source, re.IGNORECASE):
        return _from_web(source, day)
    if _URL.match(source):
        return _from_database(source, day, root, password)
    return _from_folder(source, day, root)


def _file_names(day: date) -> tuple[str, str]:
    return f"sales-{day}.csv.gz", f"sales-{day}.csv"


# -- a folder -------------------------------------------------------------------------------------


def _from_folder(source: str, day: date, root: Path) -> Drop | None:
    folder = root / Path(source).expanduser()
    if folder.is_file():
        raise SourceFault(f"source '{folder}' is a file; give the folder that holds the drops")
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no source folder '{folder}'; is it mounted?")
    for name in _file_names(day):
        path = folder / name
        try:
            with path.open("rb") as file:
                data = _limited(file.read(DROP_BYTES_MAX + 1), str(path))
        except FileNotFoundError:
            continue
        return Drop(str(path), unpack(data, str(path)))
    return None


def _limited(data: bytes, name: str) -> bytes:
    if len(data) > DROP_BYTES_MAX:
        raise DataFault(f"{name}: holds more than {DROP_BYTES_MAX:,} bytes")
    return data


# -- a web folder ---------------------------------------------------------------------------------


def _from_web(source: str, day: date) -> Drop | None:
    try:
        parts = urllib.parse.urlsplit(source)
        userinfo, host = parts.netloc.rpartition("@")[::2]
    except ValueError:
        raise SourceFault("source is not a usable web address") from None
    if userinfo:
        raise SourceFault(
            f"source names a user or password for '{host}', and a run's parameters are kept; "
            "give the address without it"
        )
    for name in _file_names(day):
        path = urllib.parse.quote(f"{parts.path.rstrip('/')}/{name}", safe="/%~!$&'()*+,;=:@")
        parts_of_file = parts._replace(path=path, fragment="")
        # What stands in the query may be a token: it stays out of messages.
        label = urllib.parse.urlunsplit(parts_of_file._replace(query=""))
        data = _download(urllib.parse.urlunsplit(parts_of_file), label)
        if data is not None:
            return Drop(label, unpack(data, label))
    return None


def _download(url: str, label: str) -> bytes | None:
    request = urllib.request.Request(url, headers={"Accept-Encoding": "identity"})  # noqa: S310 - the scheme was checked
    try:
        # Only http and https come here, and urllib follows redirects to nothing local.
        with urllib.request.urlopen(request, timeout=HTTP_TIMEOUT_S) as answer:  # noqa: S310 - the scheme was checked
            data = _limited(answer.read(DROP_BYTES_MAX + 1), label)
            if answer.length:  # what the server announced and has not sent
                raise DropCut(f"{label}: the download stops {answer.length:,} bytes short")
            return data
    except urllib.error.HTTPError as error:
        error.close()
        if error.code in _GONE:
            return None
        what = f"{label}: the server answers {error.code} {error.reason}"
        wait = error.headers.get("Retry-After", "")
        if error.code in _BUSY_FOR and re.fullmatch(r"[0-9]{1,4}", wait):
            raise RetryAfter(min(int(wait), RETRY_AFTER_S_MAX), what) from None
        if error.code in _BUSY or error.code >= _SERVER_ERROR:
            raise SourceDown(what) from None
        raise SourceFault(what) from None
    except http.client.IncompleteRead as error:
        raise DropCut(f"{label}: the download stops after {len(error.partial):,} bytes") from None
    except http.client.InvalidURL:
        raise SourceFault(f"{label}: not a usable web address") from None
    except (http.client.HTTPException, OSError) as error:
        reason = getattr(error, "reason", error)
        raise SourceDown(f"{label}: {reason or type(error).__name__}") from None


# -- a database -----------------------------------------------------------------------------------


def _from_database(
    source: str, day: date, root: Path, password: Callable[[], str | None]
) -> Drop | None:
    import sqlalchemy as sa

    url = _checked_url(source, root)
    label = f"{url.set(query={}).render_as_string(hide_password=True)} table sales"
    without = ""
    if url.get_backend_name() != "sqlite":
        if secret := password():
            url = url.set(password=secret)
        else:
            without = f" (the secret '{PASSWORD_NAME}' is not set)"
    timeout = {"connect_timeout": CONNECT_TIMEOUT_S}
    try:
        arguments = timeout if url.get_driver_name() in _CONNECT_TIMEOUT_DRIVERS else {}
        engine = sa.create_engine(
            url, poolclass=sa.NullPool, hide_parameters=True, connect_args=arguments
        )
    except ImportError as error:
        raise SourceFault(f"{label}: its driver is not installed here ({error})") from None
    except sa.exc.ArgumentError as error:
        raise SourceFault(f"{label}: cannot be opened ({_one_line(error)})") from None
    try:
        with engine.connect() as connection:
            rows = _day_rows(connection, day, label)
    except (sa.exc.OperationalError, sa.exc.InterfaceError) as error:
        raise SourceDown(f"{label}: {_one_line(error.orig)}{without}") from None
    except sa.exc.SQLAlchemyError as error:
        raise SourceFault(f"{label}: {_one_line(getattr(error, 'orig', None) or error)}") from None
    finally:
        engine.dispose()
    return Drop(label, _as_csv(rows)) if rows else None


def _one_line(error: object) -> str:
    return " ".join(str(error).split())


def _checked_url(source: str, root: Path) -> URL:
    import sqlalchemy as sa

    try:
        url = sa.make_url(source)
    except (sa.exc.ArgumentError, ValueError):
        # The text is not repeated: what cannot be read may hold a password all the same.
        raise SourceFault("source is neither a folder nor a usable database URL") from None
    if url.password is not None or _PASSWORD_KEYS & {key.lower() for key in url.query}:
        raise SourceFault(
            "the source URL holds a password, and a run's parameters are kept; give it without "
            f"and put the password into the secret '{PASSWORD_NAME}'"
        )
    if url.get_backend_name() == "sqlite":
        return _existing_sqlite(url, root)
    return url


def _existing_sqlite(url: URL, root: Path) -> URL:
    if not url.database or url.database == ":memory:" or url.database.startswith("file:"):
        raise SourceFault("source names no SQLite file; give sqlite:///PATH")
    path = root / url.database
    if not path.is_file():  # connecting would make an empty one
        raise FileNotFoundError(f"there is no SQLite file '{path}'")
    return url.set(database=str(path))


def _day_rows(connection: Connection, day: date, label: str) -> list[tuple[Any, ...]]:
    import sqlalchemy as sa

    try:
        found = {
            column["name"]: column["type"] for column in sa.inspect(connection).get_columns("sales")
        }
    except sa.exc.NoSuchTableError:
        raise SourceFault(f"{label}: there is no such table") from None
    for name in COLUMNS:
        if name not in found:
            raise DataFault(f"{label}, column '{name}': missing from the table")
    next_day = day + timedelta(days=1)
    low: date | str = day.isoformat()
    high: date | str = next_day.isoformat()
    # SQLite keeps times as text, whatever the column is called.
    if isinstance(found["invoice_ts"], sa.DateTime) and connection.dialect.name != "sqlite":
        low, high = datetime(*day.timetuple()[:3]), datetime(*next_day.timetuple()[:3])  # noqa: DTZ001 - local times, as in the data
    columns: list[ColumnClause[Any]] = [sa.column(name) for name in COLUMNS]
    when: ColumnClause[Any] = sa.column("invoice_ts")
    query = (
        sa.select(*columns)
        .select_from(sa.table("sales"))
        .where(when >= sa.literal(low), when < sa.literal(high))
        .order_by(when, *columns)
    )
    return [tuple(row) for row in connection.execute(query)]


def _as_csv(rows: Iterable[tuple[Any, ...]]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    ts = COLUMNS.index("invoice_ts")
    for row in rows:
        cells = [_cell(value) for value in row]
        cells[ts] = _time_cell(row[ts])
        writer.writerow(cells)
    return text.getvalue().encode("utf-8", "surrogatepass")


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        # Tables often hold prices and even customer numbers as floats: 16612.0 is 16612.
        return format(Decimal(repr(value)), "f").removesuffix(".0")
    if isinstance(value, Decimal):
        return format(value, "f")
    return str(value)


def _time_cell(value: object) -> str:
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return str(value)
    return value.isoformat(" ") if isinstance(value, datetime) else _cell(value)
