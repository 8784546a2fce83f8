export type Language = "en" | "ja";

/** One text in both languages. */
export type Bilingual = Readonly<Record<Language, string>>;
