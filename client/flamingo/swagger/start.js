// Show the document that this server serves; ask nobody else about it.
SwaggerUIBundle({
  dom_id: "#api",
  url: "../openapi.json",
  validatorUrl: null,
  deepLinking: true,
  defaultModelsExpandDepth: 0,
  syntaxHighlight: false,
});
