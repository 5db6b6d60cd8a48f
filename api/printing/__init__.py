"""A report made into what a person opens: a web page, a PDF, a workbook. The statement decides what they say; see there."""
