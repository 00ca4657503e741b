// Render this server's OpenAPI document, without the online validator.

// Form fields start empty, and empty fields are not sent. Swagger UI would otherwise fill in sample
// values, a model name among them; it requests those without a media type.
const emptyForms = () => ({
  wrapComponents: { ParameterIncludeEmpty: () => () => null },
  afterLoad() {
    const original = this.fn.getSampleSchema;
    this.fn.getSampleSchema = (schema, mediaType, ...rest) =>
      mediaType === false ? "" : original(schema, mediaType, ...rest);
  },
});

// The color scheme follows the system, as that of the web page does.
const dark = matchMedia("(prefers-color-scheme: dark)");
const setScheme = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", setScheme);
setScheme();

SwaggerUIBundle({
  dom_id: "#api",
  url: "../openapi.json",
  validatorUrl: null,
  deepLinking: true,
  defaultModelsExpandDepth: 0,
  syntaxHighlight: false,
  plugins: [emptyForms],
});
