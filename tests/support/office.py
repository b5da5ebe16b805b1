"""Documents as office programs write them, and PDFs, also broken and hostile ones."""

from __future__ import annotations

import io
import zipfile
from typing import Final

import docx
import odfdo
import openpyxl
import pptx
import pypdf

PDF: Final = "application/pdf"
OOXML: Final = "application/vnd.openxmlformats-officedocument."
DOCX: Final = f"{OOXML}wordprocessingml.document"
XLSX: Final = f"{OOXML}spreadsheetml.sheet"
PPTX: Final = f"{OOXML}presentationml.presentation"
ODT: Final = "application/vnd.oasis.opendocument.text"
COMPOUND_FILE: Final = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504)
"""How files of before 2007 begin, and newer ones with a password."""

ODS: Final = "application/vnd.oasis.opendocument.spreadsheet"


def pdf(*pages: str, forms: str = "") -> bytes:
    """A PDF with a line of text on each page.

    Args:
        pages: The texts, or what else draws the pages if there are forms.
        forms: Names of forms that pages and forms may draw, each with what it draws: ``a=/b Do;``.
    """
    named = [form.partition("=") for form in forms.split(";") if form]
    first = 4 + len(named)
    resources = "/Font << /F 3 0 R >>"
    if named:
        references = " ".join(f"/{name} {4 + i} 0 R" for i, (name, _, _) in enumerate(named))
        resources += f" /XObject << {references} >>"
    count = len(pages)
    kids = " ".join(f"{first + 2 * i} 0 R" for i in range(count))
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {count} >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    for _, _, drawing in named:
        head = f"/Type /XObject /Subtype /Form /BBox [0 0 9 9] /Resources << {resources} >>"
        objects.append(_stream(drawing, head))
    for number, page in enumerate(pages):
        drawing = page if forms else f"BT /F 12 Tf 20 20 Td ({page}) Tj ET"
        objects.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 300 300]"
            f" /Contents {first + 2 * number + 1} 0 R /Resources << {resources} >> >>"
        )
        objects.append(_stream(drawing))
    written = "%PDF-1.4\n"
    places = []
    for number, content in enumerate(objects, start=1):
        places.append(len(written))
        written += f"{number} 0 obj\n{content}\nendobj\n"
    table = "".join(f"{place:010} 00000 n \n" for place in places)
    size = len(objects) + 1
    written += f"xref\n0 {size}\n0000000000 65535 f \n{table}"
    start = written.index("xref\n")
    written += f"trailer\n<< /Size {size} /Root 1 0 R >>\nstartxref\n{start}\n%%EOF\n"
    return written.encode("latin-1")


def _stream(content: str, head: str = "") -> str:
    return f"<< {head} /Length {len(content)} >>\nstream\n{content}\nendstream"


def word_document() -> bytes:
    """A document with a heading, a paragraph and a table."""
    document = docx.Document()
    document.add_heading("Bridges", 1)
    document.add_paragraph("The ferry leaves at noon.")
    table = document.add_table(2, 2)
    for row, (left, right) in zip(table.rows, [("Bridge", "Arches"), ("Old", "9")], strict=True):
        row.cells[0].text, row.cells[1].text = left, right
    return _saved(document)


def workbook() -> bytes:
    """A workbook with two sheets, one of them with a gap."""
    book = openpyxl.Workbook()
    first = book.worksheets[0]
    first.title = "Fares"
    first["A1"], first["B1"] = "adult", 3
    book.create_sheet("More")["C2"] = "child"
    return _saved(book)


def presentation() -> bytes:
    """A presentation of one slide with notes."""
    show = pptx.Presentation()
    slide = show.slides.add_slide(show.slide_layouts[5])
    assert slide.shapes.title is not None
    slide.shapes.title.text = "Timetable"
    box = slide.shapes.add_textbox(0, 0, 9, 9)
    box.text_frame.text = "Noon"
    notes = slide.notes_slide.notes_text_frame
    assert notes is not None
    notes.text = "Speak up"
    return _saved(show)


def open_document() -> bytes:
    """An ODF text with a heading and a paragraph."""
    document = odfdo.Document("text")
    document.body.clear()
    document.body.append(odfdo.Header(1, "Bridges"))
    document.body.append(odfdo.Paragraph("The ferry leaves at noon."))
    return _saved(document)


def open_spreadsheet(columns: int = 1, rows: int = 1) -> bytes:
    """An ODF spreadsheet with two cells, a gap between them, and repetitions.

    Args:
        columns: How often the last cell is repeated.
        rows: How often the row is.
    """
    document = odfdo.Document("spreadsheet")
    document.body.clear()
    table = odfdo.Table("Fares")
    row = odfdo.Row()
    row.append(odfdo.Cell("adult", text="adult"))
    row.append(odfdo.Cell(repeated=2))
    row.append(odfdo.Cell("3", text="3", repeated=columns if columns > 1 else None))
    if rows > 1:
        row.repeated = rows
    table.append(row)
    document.body.append(table)
    return _saved(document)


def archive(method: int = zipfile.ZIP_DEFLATED, /, **members: bytes) -> bytes:
    """A ZIP archive; a double underscore in a name stands for a slash, a single one for a dot."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as written:
        for name, data in members.items():
            written.writestr(name.replace("__", "/").replace("_", "."), data)
    return buffer.getvalue()


def replaced(document: bytes, name: str, data: bytes) -> bytes:
    """A ZIP archive with other bytes in one of its members."""
    buffer = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(document)) as archive,
        zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as written,
    ):
        for member in archive.namelist():
            written.writestr(member, data if member == name else archive.read(member))
    return buffer.getvalue()


def changed(document: bytes, name: str, old: str, new: str) -> bytes:
    """A ZIP archive with another text in one of its members."""
    with zipfile.ZipFile(io.BytesIO(document)) as archive:
        text = archive.read(name).decode()
    assert old in text
    return replaced(document, name, text.replace(old, new, 1).encode())


def added(document: bytes, name: str, data: bytes) -> bytes:
    """A ZIP archive with one more member."""
    buffer = io.BytesIO(document)
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.writestr(name, data)
    return buffer.getvalue()


def marked_as_encrypted(document: bytes) -> bytes:
    """A ZIP archive whose members are said to be encrypted, with their old way of doing it."""
    marked = bytearray(document)
    for signature, flags in ((b"PK\x01\x02", 8), (b"PK\x03\x04", 6)):
        place = marked.find(signature)
        while place >= 0:
            marked[place + flags] |= 1
            place = marked.find(signature, place + 4)
    return bytes(marked)


def locked_pdf(algorithm: str) -> bytes:
    """A PDF that opens with a password only."""
    writer = pypdf.PdfWriter(clone_from=io.BytesIO(pdf("Hello")))
    writer.encrypt("secret", algorithm=algorithm)
    buffer = io.BytesIO()
    writer.write(buffer)
    return buffer.getvalue()


def _saved(document: object) -> bytes:
    buffer = io.BytesIO()
    document.save(buffer)  # type: ignore[attr-defined]  # all of them have it
    return buffer.getvalue()
