"""What all pages stand on: templates and their filters, static files, security headers, errors, live updates.

A page is HTML that is readable without JavaScript; what JavaScript adds is in small modules below `static/js`. Nothing is loaded from elsewhere.
Everything that a chain says (names of tokens, reasons of reverts, clients) is hostile text: it goes through `text.clean` and autoescaping.

`site.Site` says which network it is, `pages.Pages` renders, `assets.Assets` serves files, `application.make_site_app` puts an app together,
`live.LiveHub` tells browsers what is new.
"""
