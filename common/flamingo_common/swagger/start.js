// Show the document that this server serves; ask nobody else about it.

// The fields of a form begin empty, and what is empty is not sent. Swagger UI itself would make
// values up, a model's name among them; it asks for those without a media type.
const emptyForms = () => ({
  wrapComponents: { ParameterIncludeEmpty: () => () => null },
  afterLoad() {
    const sampled = this.fn.getSampleSchema;
    this.fn.getSampleSchema = (schema, mediaType, ...rest) =>
      mediaType === false ? "" : sampled(schema, mediaType, ...rest);
  },
});

SwaggerUIBundle({
  dom_id: "#api",
  url: "../openapi.json",
  validatorUrl: null,
  deepLinking: true,
  defaultModelsExpandDepth: 0,
  syntaxHighlight: false,
  plugins: [emptyForms],
});
