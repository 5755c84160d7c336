/** Whether `text` is an IP address (`192.0.2.7`, `fd00::7`) or a network of them (`10.0.0.0/8`), without blanks. */
export function isAddressOrNetwork(text: string): boolean {
  const [, address = "", bits] = /^([^/]*)(?:\/(\d{1,3}))?$/.exec(text) ?? [];
  const longest = isIpv4(address) ? 32 : isIpv6(address) ? 128 : -1;
  return Number(bits ?? 0) <= longest;
}

function isIpv4(text: string): boolean {
  const parts = text.split(".");
  return parts.length === 4 && parts.every((part) => /^(?:0|[1-9]\d{0,2})$/.test(part) && Number(part) <= 255);
}

function isIpv6(text: string): boolean {
  return /^[\da-f:.]{2,45}$/i.test(text) && URL.canParse(`http://[${text}]/`);
}
