"use strict";
/* Signs in with a security key (WebAuthn): asks the server what to sign, the key to sign it, and
   sends the answer as the form would. */

const bytes = (text) => Uint8Array.from(
  atob(text.replace(/-/g, "+").replace(/_/g, "/")), (letter) => letter.charCodeAt(0));
const text = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer)))
  .replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");

function answer(credential) {
  const { response } = credential;
  const found = {
    authenticatorData: text(response.authenticatorData),
    clientDataJSON: text(response.clientDataJSON),
    signature: text(response.signature),
  };
  if (response.userHandle) found.userHandle = text(response.userHandle);
  return { id: credential.id, rawId: text(credential.rawId), type: credential.type,
    response: found, clientExtensionResults: {} };
}

async function use(form) {
  const asked = await fetch("/login/options", {
    method: "POST",
    headers: { "Content-Type": "application/json", Accept: "application/json" },
    body: JSON.stringify({ ticket: form.elements.ticket.value }),
  });
  if (!asked.ok) throw new Error((await asked.json()).detail);
  const options = await asked.json();
  options.challenge = bytes(options.challenge);
  for (const one of options.allowCredentials || []) one.id = bytes(one.id);
  const credential = await navigator.credentials.get({ publicKey: options });
  form.elements.value.value = JSON.stringify(answer(credential));
  HTMLFormElement.prototype.submit.call(form);
}

const form = document.getElementById("key");
if (form) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const told = document.getElementById("key-told");
    told.textContent = "Waiting for the key …";
    use(form).catch((error) => { told.textContent = `That did not work: ${error.message}`; });
  });
}
