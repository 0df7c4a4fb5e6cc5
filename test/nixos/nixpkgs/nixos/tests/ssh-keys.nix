# Replaces the file of the same name in nixpkgs.
_: {
  snakeOilPrivateKey = "/a/private/key";
  snakeOilPublicKey = "a public key";
}
