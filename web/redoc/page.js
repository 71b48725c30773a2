// Shows the API's document. Searching would need a worker made of a blob, which the page's policy doesn't allow.

// ReDoc's menu asks another host for its maker's logo, which the policy blocks, with an error in the console. ReDoc leaves out
// a logo that can't be shown, so it gets one that can't.
const set = HTMLImageElement.prototype.setAttribute;
HTMLImageElement.prototype.setAttribute = function setOwnSource(name, value) {
  const foreign = name === 'src' && new URL(value, location.href).origin !== location.origin && !value.startsWith('data:');
  set.call(this, name, foreign ? 'data:,' : value);
};

window.Redoc.init('/openapi.json', { disableSearch: true, hideDownloadButton: false }, document.getElementById('redoc'));
