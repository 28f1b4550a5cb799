"use strict";
/* Sets up a security key (WebAuthn): has the browser make one as the server wants it, and sends
   what it answers as the form would. */

const bytes = (text) => Uint8Array.from(
  atob(text.replace(/-/g, "+").replace(/_/g, "/")), (letter) => letter.charCodeAt(0));
const text = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer)))
  .replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");

function answer(credential) {
  const { response } = credential;
  return { id: credential.id, rawId: text(credential.rawId), type: credential.type,
    response: {
      attestationObject: text(response.attestationObject),
      clientDataJSON: text(response.clientDataJSON),
      transports: response.getTransports ? response.getTransports() : [],
    },
    clientExtensionResults: {} };
}

async function make(form) {
  const options = JSON.parse(form.dataset.options);
  options.challenge = bytes(options.challenge);
  options.user.id = bytes(options.user.id);
  for (const one of options.excludeCredentials || []) one.id = bytes(one.id);
  const credential = await navigator.credentials.create({ publicKey: options });
  form.elements.value.value = JSON.stringify(answer(credential));
  HTMLFormElement.prototype.submit.call(form);
}

const form = document.getElementById("key");
if (form) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const told = document.getElementById("key-told");
    told.textContent = "Waiting for the key …";
    make(form).catch((error) => { told.textContent = `That did not work: ${error.message}`; });
  });
}
