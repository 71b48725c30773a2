// Shows the API's document. Searching would need a worker made of a blob, which the page's policy doesn't allow.
window.Redoc.init('/openapi.json', { disableSearch: true, hideDownloadButton: false }, document.getElementById('redoc'))
