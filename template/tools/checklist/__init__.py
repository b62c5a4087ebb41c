"""`make checklist`: the production checklist, shown by running code.

`docs/production-checklist.md` is the list: each row of its tables names files and tests, which must exist, and a check below
`checks/` goes by its name. A row without a check fails, and so does a check without a row.
"""
