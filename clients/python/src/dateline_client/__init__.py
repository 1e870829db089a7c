"""What a client of Dateline needs besides the generated package `dateline.v1`."""
