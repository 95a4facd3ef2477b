"""What callers and states rely on in a data class, in a file that is committed beside it.

`describe` reads it from the class, `lock_file` keeps it, `compare` says what each difference breaks. Begin
with `contract`.
"""
