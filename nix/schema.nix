# Options from config.schema.json: type, default and description of every setting have one source, the schema that the
# daemon itself checks with. What has no default there, or a shape that is not known here, is left to the freeform type.
{ lib, format }:
let
  inherit (lib) mkOption types;

  isPlain = schema: schema ? default && schema ? type && schema.type != "object";
  isRecord = schema: schema.type or null == "object" && schema ? properties;
  isMap = schema: schema.type or null == "object" && (schema.additionalProperties or false) ? properties;

  typeOf =
    schema:
    if schema ? enum then
      types.enum schema.enum
    else if schema.type == "boolean" then
      types.bool
    else if schema.type == "string" then
      types.str
    else if schema.type == "integer" && schema ? minimum && schema ? maximum then
      types.ints.between schema.minimum schema.maximum
    else if schema.type == "array" && schema.items.type or null == "string" then
      types.listOf types.str
    else
      format.type;

  recordType =
    schema:
    types.submodule {
      freeformType = format.type;
      options = optionsOf schema.properties;
    };

  optionOf =
    schema:
    mkOption {
      description = schema.description or "See `config.schema.json`.";
      default = schema.default or { };
      type =
        if isRecord schema then
          recordType schema
        else if isMap schema then
          types.attrsOf (recordType schema.additionalProperties)
        else
          typeOf schema;
    };

  optionsOf =
    properties:
    lib.mapAttrs (_: optionOf) (
      lib.filterAttrs (_: schema: isPlain schema || isRecord schema || isMap schema) properties
    );
in
{
  inherit recordType;
}
