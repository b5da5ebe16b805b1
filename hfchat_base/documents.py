"""PDF and office documents as text, since no HuggingChat server reads them.

pypdf, python-docx, openpyxl, python-pptx and odfdo do the reading (the extra ``documents``). Each
is imported where it is used. A document may come from anybody, so everything about it is bounded:
its size, what it unpacks to, its tags, its pages, what they are drawn with, its cells, its text,
and the time that reading it takes. Whatever a reader raises about a broken file becomes one clear
error.
"""

from __future__ import annotations

import io
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from importlib.util import find_spec
from typing import Any, Final

from hfchat_base._protocol.constants import MAX_FILE_BYTES
from hfchat_base.errors import (
    FileTooLargeError,
    HuggingChatError,
    InvalidRequestError,
    MissingRequirementsError,
)

__all__ = ["DOCUMENT_TYPES", "can_read_documents", "document_text", "zip_type"]

_MIB: Final = 1024 * 1024

MAX_UNPACKED_BYTES: Final = 64 * _MIB
"""What an office document, which is a ZIP archive, may unpack to."""

MAX_TAGS: Final = 5_000_000
"""XML tags of an office document. A spreadsheet has four for each cell with a number."""

MAX_SECONDS: Final = 120.0
"""How long reading may take. It is looked at between pages, paragraphs, shapes and rows."""

MAX_TEXT_BYTES: Final = MAX_FILE_BYTES
"""The text is sent as a file."""

MAX_PAGES: Final = 2_000
"""Pages of a PDF, slides of a presentation."""

MAX_OPERATORS: Final = 2_000_000
"""Drawing operators of a PDF: about 2,000 on a dense page, and without bound if a page is made to
draw itself again and again."""

MAX_DRAWING_BYTES: Final = 64 * _MIB
"""What the pages of a PDF are drawn with, without the forms that they draw. Pages may share it."""

MAX_CELLS: Final = 2_000_000
"""Cells of a spreadsheet, empty ones included."""

_PDF: Final = "application/pdf"
_OOXML: Final = "application/vnd.openxmlformats-officedocument."
_DOCX: Final = f"{_OOXML}wordprocessingml.document"
_XLSX: Final = f"{_OOXML}spreadsheetml.sheet"
_PPTX: Final = f"{_OOXML}presentationml.presentation"
_ODF: Final = "application/vnd.oasis.opendocument."

_OLD: Final = frozenset(
    ("application/msword", "application/vnd.ms-excel", "application/vnd.ms-powerpoint")
)
"""Formats of before 2007, which none of the libraries reads."""

_MODULES: Final = ("pypdf", "docx", "openpyxl", "pptx", "odfdo")
"""What the extra brings."""

_METHODS: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""How members of office documents are packed. Python unpacks other methods without a bound: 2 KB of
bzip2 fill gigabytes, whatever size the archive states."""

_IS_ENCRYPTED: Final = 0x1
"""Of a member's flags."""

_COMPOUND_FILE: Final = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
"""How files of before 2007 begin, and newer ones with a password."""

_ENCRYPTED_PACKAGE: Final = "EncryptedPackage".encode("utf-16-le")
_ENTITIES: Final = (b"<!ENTITY", "<!ENTITY".encode("utf-16-le"))
_BEFORE_XML: Final = b"\xef\xbb\xbf\xfe\xff\0 \t\r\n"
_PDF_HEAD: Final = 1024
"""Where ``%PDF-`` begins a PDF, in bytes."""

_MANIFEST: Final = "META-INF/manifest.xml"
"""Of an ODF document; it tells which parts are encrypted."""

_HEADINGS: Final = tuple("123456789")
_TEXT: Final = "characters of text"

_PARTS: Final = {
    "word/document.xml": _DOCX,
    "xl/workbook.xml": _XLSX,
    "ppt/presentation.xml": _PPTX,
}
"""The part of an archive that tells what the document is."""


def document_text(name: str, data: bytes, mime: str) -> str:
    """Read the text of a document.

    Args:
        name: What it is called, for errors.
        data: Its bytes.
        mime: Its MIME type, one of `DOCUMENT_TYPES`.

    Raises:
        MissingRequirementsError: The extra ``documents`` is not installed.
        FileTooLargeError: The document, or its text, is too large.
        InvalidRequestError: It is broken, needs a password, or holds no text.
    """
    mime = _actual_type(data) or mime
    if mime in _OLD:
        raise _old_format(name)
    if len(data) > MAX_FILE_BYTES:
        raise FileTooLargeError(
            f"{name!r} has {len(data):,} bytes; documents are read up to {MAX_FILE_BYTES:,}."
        )
    try:
        if mime != _PDF:
            _check_archive(name, data)
        text = _collect(name, _READERS[mime](name, io.BytesIO(data)))
    except HuggingChatError:
        raise
    except ImportError as error:
        what = f"Reading {name!r}"
        raise MissingRequirementsError.for_extra("documents", what=what) from error
    except Exception as error:
        # A broken file breaks its reader anywhere, with any error.
        kind = type(error).__name__
        raise InvalidRequestError(
            f"{name!r} cannot be read: it is damaged, or is no document of its kind ({kind}). Open"
            " it where it was made, and save it again."
        ) from error
    if not text.strip():
        raise InvalidRequestError(
            f"{name!r} holds no text that can be read, only images perhaps. Attach it as images."
        )
    return text


@cache
def can_read_documents() -> bool:
    """Tell whether the extra ``documents`` is installed. Nothing is imported for it."""
    return all(find_spec(module) is not None for module in _MODULES)


def zip_type(data: bytes) -> str | None:
    """Tell which kind of office document a ZIP archive is; None if it is none."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = set(archive.namelist())
            found = next((mime for part, mime in _PARTS.items() if part in names), None)
            if found is None and "mimetype" in names:
                member = archive.getinfo("mimetype")
                if member.compress_type not in _METHODS:
                    return None
                with archive.open(member) as part:
                    found = part.read(100).decode("ascii", "replace").strip()
    except Exception:  # noqa: BLE001 - a broken archive breaks its reader anywhere, with any error
        return None
    return found if found in DOCUMENT_TYPES else None


def _actual_type(data: bytes) -> str | None:
    """What a document is, as its bytes show it: names and types that came with it may be wrong."""
    return _PDF if b"%PDF-" in data[:_PDF_HEAD] else zip_type(data)


def _old_format(name: str) -> InvalidRequestError:
    return InvalidRequestError(
        f"{name!r} has a format of before 2007. Save it as .docx, .xlsx, .pptx or PDF."
    )


def _needs_password(name: str) -> InvalidRequestError:
    return InvalidRequestError(f"{name!r} needs a password. Save it without one.")


def _check_archive(name: str, data: bytes) -> None:
    """Refuse what needs a password, or unpacks to too much, to XML that grows among others.

    Members cannot unpack to more than the archive says, if they are packed as all documents are.
    """
    if data.startswith(_COMPOUND_FILE):
        raise _needs_password(name) if _ENCRYPTED_PACKAGE in data else _old_format(name)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = archive.infolist()
        size = sum(member.file_size for member in members)
        if size > MAX_UNPACKED_BYTES:
            raise FileTooLargeError(
                f"{name!r} unpacks to {size:,} bytes; documents are read up to"
                f" {MAX_UNPACKED_BYTES:,}."
            )
        tags = _Counter(name, MAX_TAGS, "XML tags")
        for member in members:
            if member.flag_bits & _IS_ENCRYPTED:
                raise _needs_password(name)
            if member.compress_type not in _METHODS:
                raise InvalidRequestError(
                    f"{name!r} is packed as no office program does it, and is not read."
                )
            content = archive.read(member)
            # A part may have any name: what is XML, its beginning tells.
            if not content.lstrip(_BEFORE_XML).startswith(b"<"):
                continue
            tags.count(content.count(b"<"))
            if member.filename == _MANIFEST and b"encryption-data" in content:
                raise _needs_password(name)
            # Pictures (SVG) may declare some; no reader parses those.
            is_read = member.filename.endswith((".xml", ".rels"))
            if is_read and any(declaration in content for declaration in _ENTITIES):
                raise InvalidRequestError(
                    f"{name!r} declares XML entities, as no office program does, and is not read."
                )


def _collect(name: str, pieces: Iterable[str]) -> str:
    """Put the text together, up to what a server takes as a file."""
    collected: list[str] = []
    size = 0
    clock = _Clock(name)
    for piece in pieces:
        clock.look()
        stripped = piece.strip("\n").rstrip()
        if not stripped:
            continue
        size += len(stripped.encode("utf-8", "replace"))
        if size > MAX_TEXT_BYTES:
            raise FileTooLargeError(
                f"The text of {name!r} is too long: the server takes at most {MAX_TEXT_BYTES:,}"
                " bytes. Send a part of it."
            )
        collected.append(stripped)
    return "\n\n".join(collected)


class _Counter:
    """Counts what a document has of something, before it takes time or room.

    Args:
        name: The document, for the error.
        most: How much it may have.
        what: Of what.
    """

    def __init__(self, name: str, most: int, what: str) -> None:
        self._name = name
        self._most = most
        self._what = what
        self._total = 0

    def count(self, more: int) -> None:
        """Count some more.

        Raises:
            FileTooLargeError: That is too much.
        """
        self._total += more
        if self._total > self._most:
            raise FileTooLargeError(
                f"{self._name!r} has more than {self._most:,} {self._what}. Send a part of it."
            )


class _Clock:
    """Looks whether reading a document takes too long.

    Args:
        name: The document, for the error.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._end = time.monotonic() + MAX_SECONDS

    def look(self) -> None:
        """Look at the time.

        Raises:
            FileTooLargeError: It is over.
        """
        if time.monotonic() > self._end:
            raise FileTooLargeError(
                f"{self._name!r} takes more than {MAX_SECONDS:.0f} seconds to read. Send a part of"
                " it."
            )


def _pdf(name: str, file: io.BytesIO) -> Iterator[str]:
    import pypdf  # noqa: PLC0415 - an extra

    reader = pypdf.PdfReader(file)
    if reader.is_encrypted and not reader.decrypt(""):
        raise _needs_password(name)
    count = len(reader.pages)
    _Counter(name, MAX_PAGES, "pages").count(count)
    operators = _Counter(name, MAX_OPERATORS, "drawing operators")
    drawing = _Counter(name, MAX_DRAWING_BYTES, "bytes of drawing")
    clock = _Clock(name)

    def note(*_: object) -> None:
        operators.count(1)
        clock.look()

    for number, page in enumerate(reader.pages, start=1):
        contents = page.get_contents()
        drawing.count(len(contents.get_data()) if contents is not None else 0)
        text = page.extract_text(visitor_operand_before=note)
        operators.count(0)  # pypdf leaves a form out whose operators raise
        clock.look()
        yield _part("Page", number, text) if count > 1 else text


def _docx(name: str, file: io.BytesIO) -> Iterator[str]:
    import docx  # noqa: PLC0415 - an extra
    from docx.table import Table, _Cell  # noqa: PLC0415 - likewise

    document = docx.Document(file)
    clock = _Clock(name)
    # `block.style` searches all styles, for each paragraph.
    styles = {style.style_id: style.name or "" for style in document.styles}

    def texts(row: Any, table: Table) -> Iterator[str]:
        # `row.cells` has a cell for every column that one says it spans.
        for cell in row._tr.tc_lst:  # noqa: SLF001
            clock.look()
            yield _Cell(cell, table).text

    for block in document.iter_inner_content():
        if isinstance(block, Table):
            yield _table(texts(row, block) for row in block.rows)
            continue
        level = styles.get(block._p.style or "", "").removeprefix("Heading ")  # noqa: SLF001
        is_heading = level in _HEADINGS
        yield f"{'#' * int(level)} {block.text}" if is_heading else block.text


def _xlsx(name: str, file: io.BytesIO) -> Iterator[str]:
    import openpyxl  # noqa: PLC0415 - an extra

    book = openpyxl.load_workbook(file, read_only=True, data_only=True)
    cells = _Counter(name, MAX_CELLS, "cells")
    text = _Counter(name, MAX_TEXT_BYTES, _TEXT)
    for sheet in book.worksheets:
        sheet.reset_dimensions()  # which the file may state wrongly
        lines: list[str] = []
        for row in sheet.iter_rows(values_only=True):
            cells.count(max(1, len(row)))
            line = "\t".join(
                "" if value is None else _one_line(str(value)) for value in row
            ).rstrip()
            text.count(len(line))  # cells may share one text
            if line:
                lines.append(line)
        yield _part("Sheet", sheet.title, "\n".join(lines))


def _pptx(name: str, file: io.BytesIO) -> Iterator[str]:
    import pptx  # noqa: PLC0415 - an extra

    slides = pptx.Presentation(file).slides
    _Counter(name, MAX_PAGES, "slides").count(len(slides))
    clock = _Clock(name)
    for number, slide in enumerate(slides, start=1):
        texts = list(_shapes(slide.shapes, clock))
        if slide.has_notes_slide and slide.notes_slide.notes_text_frame is not None:
            texts.append(f"Notes: {slide.notes_slide.notes_text_frame.text}")
        yield _part("Slide", number, "\n\n".join(filter(None, texts)))


def _shapes(shapes: Iterable[Any], clock: _Clock) -> Iterator[str]:
    for shape in shapes:
        clock.look()
        if hasattr(shape, "shapes"):
            yield from _shapes(shape.shapes, clock)
        elif shape.has_text_frame:
            yield shape.text_frame.text
        elif shape.has_table:
            yield _table([cell.text for cell in row.cells] for row in shape.table.rows)


def _odf(name: str, file: io.BytesIO) -> Iterator[str]:
    import odfdo  # noqa: PLC0415 - an extra

    body = odfdo.Document(file).body
    # One tag stands for any number of spaces.
    spaces = (abs(int(str(number))) for number in body.xpath("descendant::text:s/@text:c"))
    _Counter(name, MAX_TEXT_BYTES, _TEXT).count(sum(spaces))
    sheets = body.get_elements("descendant::table:table")
    if isinstance(body, odfdo.Spreadsheet):
        cells = _Counter(name, MAX_CELLS, "cells")
        text = _Counter(name, MAX_TEXT_BYTES, _TEXT)
        for sheet in sheets:
            title = sheet.get_attribute_string("table:name")
            yield _part("Sheet", title, _sheet(sheet, cells, text))
    else:
        for paragraph in body.get_elements("descendant::text:h | descendant::text:p"):
            yield paragraph.text_recursive


def _sheet(sheet: Any, cells: _Counter, letters: _Counter) -> str:
    """A table of ODF, which says of a row and of a cell how often it is repeated."""
    lines: list[str] = []
    for row in sheet.get_elements("descendant::table:table-row"):
        line: list[str] = []
        empty = 0
        for cell in row.get_elements("table:table-cell | table:covered-table-cell"):
            text = _one_line(cell.text_recursive)
            repeated = _repeated(cell, "table:number-columns-repeated")
            if not text:
                empty += repeated
                continue
            cells.count(empty + repeated)
            letters.count(len(text) * repeated)
            line += [*[""] * empty, *[text] * repeated]
            empty = 0
        if line:
            repeated = _repeated(row, "table:number-rows-repeated")
            cells.count(len(line) * (repeated - 1))
            whole = "\t".join(line)
            letters.count(len(whole) * (repeated - 1))
            lines += [whole] * repeated
    return "\n".join(lines)


def _repeated(element: Any, attribute: str) -> int:
    return max(1, int(element.get_attribute_string(attribute) or 1))  # negative in hostile ones


def _part(what: str, which: object, text: str) -> str:
    return f"[{what} {which}]\n{text}" if text.strip() else ""


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _table(rows: Iterable[Iterable[str]]) -> str:
    """A table as Markdown, whose first row is the heading."""
    lines = ["| " + " | ".join(_one_line(cell) for cell in row) + " |" for row in rows]
    if lines:
        lines.insert(1, "|" + " --- |" * (lines[0].count(" | ") + 1))
    return "\n".join(lines)


_READERS: Final[Mapping[str, Callable[[str, io.BytesIO], Iterator[str]]]] = {
    _PDF: _pdf,
    _DOCX: _docx,
    _XLSX: _xlsx,
    _PPTX: _pptx,
    f"{_ODF}text": _odf,
    f"{_ODF}spreadsheet": _odf,
    f"{_ODF}presentation": _odf,
}

DOCUMENT_TYPES: Final = frozenset((*_READERS, *_OLD))
"""MIME types of documents: those that are read, and those that are refused with advice."""
