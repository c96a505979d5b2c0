"""The status page: read-only, one background reader for all viewers, rendered on the server.

`state` are the values that were read, `pace` says which groups are read next, `reader` reads them onto the `board`,
`admission` says who may look, `views` makes of a state what the page shows, `app` is Flask, and `front` the server
around it.
"""
