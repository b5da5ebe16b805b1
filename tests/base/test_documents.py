"""The text of PDF and office documents, and what becomes of broken and hostile ones."""

from __future__ import annotations

import io
import subprocess
import sys
import zipfile
from collections.abc import Callable
from itertools import pairwise

import docx
import openpyxl
import pytest
from docx.oxml.styles import CT_Styles

from hfchat_base import FileTooLargeError, InvalidRequestError, MissingRequirementsError, Upload
from hfchat_base._protocol.constants import MAX_FILE_BYTES
from hfchat_base.documents import MAX_CELLS, MAX_UNPACKED_BYTES, document_text, zip_type
from tests.support import office
from tests.support.office import DOCX, ODS, ODT, PDF, PPTX, XLSX


@pytest.mark.parametrize(
    ("data", "mime", "text"),
    [
        (office.pdf("Hello"), PDF, "Hello"),
        (office.pdf("One", "", "Three"), PDF, "[Page 1]\nOne\n\n[Page 3]\nThree"),
        (
            office.word_document(),
            DOCX,
            (
                "# Bridges\n\nThe ferry leaves at noon.\n\n"
                "| Bridge | Arches |\n| --- | --- |\n| Old | 9 |"
            ),
        ),
        (office.workbook(), XLSX, "[Sheet Fares]\nadult\t3\n\n[Sheet More]\n\t\tchild"),
        (office.presentation(), PPTX, "[Slide 1]\nTimetable\n\nNoon\n\nNotes: Speak up"),
        (office.open_document(), ODT, "Bridges\n\nThe ferry leaves at noon."),
        (office.open_spreadsheet(), ODS, "[Sheet Fares]\nadult\t\t\t3"),
        (
            office.open_spreadsheet(columns=2, rows=2),
            ODS,
            "[Sheet Fares]\nadult\t\t\t3\t3\nadult\t\t\t3\t3",
        ),
    ],
    ids=["pdf", "pages", "docx", "xlsx", "pptx", "odt", "ods", "ods repeated"],
)
def test_text(data: bytes, mime: str, text: str) -> None:
    """A document's text is read in its order, and tables keep their cells apart."""
    assert document_text("a file", data, mime) == text


@pytest.mark.parametrize(
    ("make", "mime"),
    [
        (office.word_document, DOCX),
        (office.workbook, XLSX),
        (office.presentation, PPTX),
        (office.open_document, ODT),
        (office.open_spreadsheet, ODS),
    ],
    ids=["docx", "xlsx", "pptx", "odt", "ods"],
)
def test_type_is_found_out(make: Callable[[], bytes], mime: str) -> None:
    """What an archive is, its parts tell, also where somebody calls it an archive."""
    data = make()
    assert Upload.from_source(data).mime == mime
    assert Upload.from_source(data, mime="application/zip").mime == mime
    assert zip_type(data) == mime


def test_other_archives() -> None:
    """An archive that is no document is none, and neither is half of one."""
    assert Upload.from_source(office.archive(a_txt=b"hi")).mime == "application/zip"
    assert zip_type(office.archive(mimetype=b"application/epub+zip")) is None
    assert zip_type(office.word_document()[:1000]) is None


@pytest.mark.parametrize("mime", [PDF, DOCX, XLSX, PPTX, ODT, ODS])
@pytest.mark.parametrize(
    "data",
    [
        b"%PDF-1.7\n" + bytes(100),
        office.pdf("Hello")[:200],
        office.archive(),
        office.archive(word__document_xml=b"<w:broken", xl__workbook_xml=b"<", mimetype=b"x"),
        office.word_document()[:-100],
    ],
    ids=["no pdf", "half a pdf", "empty archive", "broken archive", "half an archive"],
)
def test_broken_document(data: bytes, mime: str) -> None:
    """A broken document is one clear error that names it."""
    with pytest.raises(InvalidRequestError, match=r"'report' (cannot be read|holds no text)"):
        document_text("report", data, mime)


def test_document_without_text() -> None:
    """Scanned pages hold no text, and a model would be shown nothing."""
    with pytest.raises(InvalidRequestError, match=r"'scan\.pdf' holds no text.*images"):
        document_text("scan.pdf", office.pdf("", ""), PDF)


def test_old_format() -> None:
    """A format of before 2007 is refused with what to do."""
    with pytest.raises(InvalidRequestError, match=r"Save it as \.docx"):
        document_text("old.doc", b"\xd0\xcf\x11\xe0", "application/msword")


def test_document_is_too_large() -> None:
    """What is over the limit for files is not read."""
    with pytest.raises(FileTooLargeError, match="10,485,760"):
        document_text("big.pdf", bytes(MAX_FILE_BYTES + 1), PDF)


def test_archive_that_unpacks_to_too_much() -> None:
    """A small archive that would fill the memory is not unpacked."""
    bomb = office.archive(word__document_xml=bytes(MAX_UNPACKED_BYTES + 1))
    assert len(bomb) < 100_000
    with pytest.raises(FileTooLargeError, match="unpacks to"):
        document_text("bomb.docx", bomb, DOCX)


def test_pdf_with_too_many_pages() -> None:
    """A PDF is read up to 2,000 pages."""
    with pytest.raises(FileTooLargeError, match="more than 2,000 pages"):
        document_text("book.pdf", office.pdf(*["x"] * 2001), PDF)


def test_pdf_that_draws_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forms that draw each other twice make a page without end; reading it has one."""
    monkeypatch.setattr("hfchat_base.documents.MAX_OPERATORS", 1000)
    names = [f"f{number}" for number in range(40)]
    forms = [f"{a}=/{b} Do /{b} Do" for a, b in pairwise(names)]
    drawing = f"{names[-1]}=BT /F 9 Tf (x) Tj ET"
    page = office.pdf(f"/{names[0]} Do", forms=";".join([*forms, drawing]))
    with pytest.raises(FileTooLargeError, match="drawing operators"):
        document_text("loop.pdf", page, PDF)


@pytest.mark.parametrize(
    "sheet",
    [office.open_spreadsheet(columns=2**31 - 1), office.open_spreadsheet(rows=MAX_CELLS)],
    ids=["columns", "rows"],
)
def test_spreadsheet_of_repetitions(sheet: bytes) -> None:
    """Cells that are only said to be there count before they take room."""
    with pytest.raises(FileTooLargeError, match="cells"):
        document_text("fares.ods", sheet, ODS)


def test_negative_repetitions() -> None:
    """A cell that is repeated less than once takes nothing off the count of cells."""
    content = (
        b'<office:document-content xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0"'
        b' xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0"'
        b' xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0"><office:body>'
        b"<office:spreadsheet><table:table><table:table-row>"
        b'<table:table-cell table:number-columns-repeated="-3000000">'
        b"<text:p>x</text:p></table:table-cell>"
        b'<table:table-cell table:number-columns-repeated="2500000">'
        b"<text:p>x</text:p></table:table-cell>"
        b"</table:table-row></table:table></office:spreadsheet></office:body>"
        b"</office:document-content>"
    )
    sheet = office.replaced(office.open_spreadsheet(), "content.xml", content)
    with pytest.raises(FileTooLargeError, match="cells"):
        document_text("fares.ods", sheet, ODS)


def test_archive_of_too_many_tags(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tags without text unpack to little and take long to read, so they are counted before."""
    monkeypatch.setattr("hfchat_base.documents.MAX_TAGS", 1000)
    tags = office.archive(word__document_xml=b"<w:p/>" * 1001)
    with pytest.raises(FileTooLargeError, match="more than 1,000 XML tags"):
        document_text("tags.docx", tags, DOCX)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_archive_packed_without_a_bound(method: int) -> None:
    """A few bytes of bzip2 or LZMA unpack to gigabytes, so neither is unpacked, nor looked into."""
    document = office.archive(method, word__document_xml=b"<w:p/>", mimetype=ODT.encode())
    with pytest.raises(InvalidRequestError, match=r"'bomb\.docx' is packed as no office program"):
        document_text("bomb.docx", document, DOCX)
    assert zip_type(office.archive(method, mimetype=ODT.encode())) is None


def test_tags_of_parts_with_other_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """A part is XML whatever its name is, and its tags count."""
    monkeypatch.setattr("hfchat_base.documents.MAX_TAGS", 1000)
    tags = office.archive(word__document_bin=b"\xef\xbb\xbf\n" + b"<w:p/>" * 1001)
    with pytest.raises(FileTooLargeError, match="more than 1,000 XML tags"):
        document_text("tags.docx", tags, DOCX)


@pytest.mark.parametrize("spaces", [10**9, -(10**9)])
def test_tag_of_a_billion_spaces(spaces: int) -> None:
    """A tag of ODF that stands for many spaces counts as what it stands for."""
    document = office.changed(
        office.open_document(), "content.xml", "ferry", f'<text:s text:c="{spaces}"/>'
    )
    with pytest.raises(FileTooLargeError, match="characters of text"):
        document_text("spaces.odt", document, ODT)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize(
    ("document", "part", "mime"),
    [
        (office.word_document(), "word/document.xml", DOCX),
        (office.presentation(), "ppt/slides/slide1.xml", PPTX),
        (office.workbook(), "xl/workbook.xml", XLSX),
        (office.open_document(), "content.xml", ODT),
    ],
    ids=["docx", "pptx", "xlsx", "odt"],
)
def test_entities(document: bytes, part: str, mime: str, encoding: str) -> None:
    """XML entities, which grow or stand for files of this machine, are never looked up.

    Readers leave them out, with the text that follows, so the document is refused.
    """
    hostile = '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/hostname">]><x>&a;</x>'
    document = office.replaced(document, part, hostile.encode(encoding))
    with pytest.raises(InvalidRequestError, match="declares XML entities"):
        document_text("hostile", document, mime)


def test_entities_of_a_picture() -> None:
    """A picture in a document may declare entities, as some drawing programs do."""
    svg = b'<!DOCTYPE svg [<!ENTITY ns "x">]><svg/>'
    document = office.added(office.word_document(), "word/media/image1.svg", svg)
    assert "The ferry leaves" in document_text("drawn.docx", document, DOCX)


@pytest.mark.parametrize(
    "document",
    [
        office.COMPOUND_FILE + "EncryptedPackage".encode("utf-16-le") + bytes(1000),
        office.marked_as_encrypted(office.word_document()),
        office.changed(
            office.open_document(),
            "META-INF/manifest.xml",
            "</manifest:manifest>",
            "<manifest:encryption-data/></manifest:manifest>",
        ),
        office.locked_pdf("AES-256"),
        office.locked_pdf("RC4-128"),
    ],
    ids=["Office", "ZIP", "ODF", "PDF", "old PDF"],
)
def test_document_with_a_password(document: bytes) -> None:
    """A document that needs a password is told as that, in whichever way it is locked."""
    for mime in (DOCX, ODT, PDF):
        if mime == PDF and not document.startswith(b"%PDF"):
            continue
        with pytest.raises(InvalidRequestError, match=r"'locked' needs a password.*without one"):
            document_text("locked", document, mime)


def test_old_format_with_a_new_name() -> None:
    """A file of before 2007 stays one under a newer name."""
    with pytest.raises(InvalidRequestError, match=r"before 2007. Save it as"):
        document_text("old.docx", office.COMPOUND_FILE + bytes(1000), DOCX)


@pytest.mark.parametrize("mime", [PDF, DOCX, XLSX, PPTX, ODT, ODS, "application/msword"])
def test_document_with_a_wrong_type(mime: str) -> None:
    """What a document is, its bytes tell, whatever it was said to be."""
    assert document_text("a", office.pdf("Hello"), mime) == "Hello"
    assert "The ferry" in document_text("a", office.word_document(), mime)
    assert "The ferry" in document_text("a", office.open_document(), mime)


def test_pdf_of_operands(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages that draw nothing are read as well, so their bytes count."""
    monkeypatch.setattr("hfchat_base.documents.MAX_DRAWING_BYTES", 1000)
    with pytest.raises(FileTooLargeError, match="more than 1,000 bytes of drawing"):
        document_text("zeros.pdf", office.pdf("0 " * 300, "0 " * 300, forms="f=;"), PDF)


@pytest.mark.parametrize(
    ("make", "mime"),
    [
        (lambda: office.pdf("Hello"), PDF),
        (office.word_document, DOCX),
        (office.workbook, XLSX),
        (office.presentation, PPTX),
        (office.open_document, ODT),
        (office.open_spreadsheet, ODS),
    ],
)
def test_document_that_takes_too_long(
    make: Callable[[], bytes], mime: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A document of any kind is given up when its time is over."""
    monkeypatch.setattr("hfchat_base.documents.MAX_SECONDS", -1.0)
    with pytest.raises(FileTooLargeError, match="seconds to read"):
        document_text("slow", make(), mime)


def test_styles_are_searched_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A paragraph does not cost a search of all styles, of which a document has hundreds."""
    document = office.word_document()
    searched: list[object] = []
    monkeypatch.setattr(CT_Styles, "get_by_id", searched.append)
    monkeypatch.setattr(CT_Styles, "default_for", searched.append)
    assert document_text("a.docx", document, DOCX).startswith("# Bridges\n\nThe ferry")
    assert searched == []


@pytest.mark.parametrize("place", range(3))
def test_type_of_a_damaged_archive(place: int) -> None:
    """What begins like an archive and is none has an unknown kind, however it is broken."""
    good = office.archive(mimetype=ODT.encode() * 10)
    data = good.index(b"mimetype") + 8
    broken = (
        good[:data] + b"\xff" * 8 + good[data + 8 :],  # the compressed data
        good.replace(b"PK\x05\x06" + bytes(4), b"PK\x05\x06" + b"\xff" * 4),
        good[:-6] + b"\xff\xff\xff\x7f" + good[-2:],  # where the directory is
    )[place]
    assert zip_type(broken) is None


def test_table_that_spans_everything() -> None:
    """A cell that says it spans a billion columns is one cell."""
    document = docx.Document()
    cell = document.add_table(1, 1).cell(0, 0)
    cell.text = "wide"
    cell._tc.grid_span = 10**9
    buffer = io.BytesIO()
    document.save(buffer)
    assert document_text("wide.docx", buffer.getvalue(), DOCX) == "| wide |\n| --- |"


def test_spreadsheet_of_one_long_text() -> None:
    """Cells that share one text count each."""
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet()
    for _ in range(400):
        sheet.append(["x" * 30_000])
    buffer = io.BytesIO()
    book.save(buffer)
    assert len(buffer.getvalue()) < 100_000
    with pytest.raises(FileTooLargeError, match="characters of text"):
        document_text("long.xlsx", buffer.getvalue(), XLSX)


def test_text_that_is_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """A text that no server would take as a file is refused while it is read."""
    monkeypatch.setattr("hfchat_base.documents.MAX_TEXT_BYTES", 900)
    with pytest.raises(FileTooLargeError, match="too long"):
        document_text("long.pdf", office.pdf("word " * 50, "word " * 150), PDF)


def test_missing_extra() -> None:
    """Without the extra the error has the command that installs it."""
    program = (
        "import sys\n"
        "sys.modules['pypdf'] = None\n"
        "from hfchat_base.documents import can_read_documents, document_text\n"
        "from hfchat_base import MissingRequirementsError\n"
        "assert not can_read_documents()\n"
        "try:\n    document_text('a.pdf', b'%PDF-1.7', 'application/pdf')\n"
        "except MissingRequirementsError as error:\n    print(error)"
    )
    done = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.startswith("Reading 'a.pdf' needs an extra: ")
    assert done.stdout.endswith('[documents]"\n')
    assert issubclass(MissingRequirementsError, ImportError)


def test_nothing_is_imported_before_it_is_used() -> None:
    """The libraries are imported with the first document, each with one of its own."""
    program = (
        "import sys, hfchat_base, hfchat_base.documents\n"
        "hfchat_base.documents.can_read_documents()\n"
        "print(sorted({'pypdf', 'docx', 'openpyxl', 'pptx', 'odfdo', 'lxml'} & {*sys.modules}))"
    )
    done = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "[]\n"


@pytest.mark.parametrize(
    ("name", "data", "mime"),
    [
        ("main.rs", b"fn main() {}", "text/plain"),
        ("main.go", b"package main", "text/plain"),
        ("a.sql", b"select 1", "text/plain"),
        ("a.yaml", b"a: 1", "text/plain"),
        ("a.py", b"print()", "text/x-python"),
        ("a.json", b"{}", "application/json"),
        ("a.bin", b"\0\1", "application/octet-stream"),
        ("a.doc", b"text", "application/msword"),
    ],
)
def test_type_of_code(name: str, data: bytes, mime: str) -> None:
    """Code is text that servers show, whatever type its name has on this machine."""
    assert Upload.from_source(data, name=name).mime == mime
