// Shows the API's document. Searching would need a worker made of a blob, which the page's policy doesn't allow.

// ReDoc's menu asks another host for its maker's logo, which the policy blocks, with an error in the console. ReDoc leaves out a
// logo that can't be shown, so it gets one that can't. It sets the address twice: as an attribute, then as a property.
const { prototype } = HTMLImageElement;
const { set: setSource, get: getSource } = Object.getOwnPropertyDescriptor(prototype, 'src');
const { setAttribute } = prototype;
const own = (address) => (address.startsWith('data:') || new URL(address, location.href).origin === location.origin ? address : 'data:,');
prototype.setAttribute = function setOwnAttribute(name, value) {
  setAttribute.call(this, name, name === 'src' ? own(value) : value);
};
Object.defineProperty(prototype, 'src', { get: getSource, set(value) { setSource.call(this, own(value)); }, configurable: true, enumerable: true });

window.Redoc.init('/openapi.json', { disableSearch: true, hideDownloadButton: false }, document.getElementById('redoc'));
