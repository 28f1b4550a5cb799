"""Purchase to pay: X12 files in, checked and matched, payments and letters out.

The files of a folder are read and acknowledged, joined into one case per
purchase order, matched three ways (order, receipt, invoice), judged by rules
and agents, approved by people and paid once. What is allowed (limits,
tolerances, who may approve) is policy; what is arithmetic is Python. It is
neither an ERP nor a bank: the vendor master is read from a file and payments
leave as X12 820 files.
"""
