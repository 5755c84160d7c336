/** A text for an attribute, without the characters that would end a quoted string (RFC 8216bis §4.2). */
export const quotable = (text: string): string => text.replaceAll(/["\r\n]/g, "");
