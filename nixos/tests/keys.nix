# Two parties of the tests. Everybody has these secret keys: they sign for nobody.
{
  one = {
    public = "test-one:HEZFKCBWrxpM9A3tg1mRrmC9WGjFGN3inmjh4l6nl/s=";
    secret = "test-one:tyxFVZfSzKXuuPP+ia3adJFyldTQ7XzlLqKck6MYUW0cRkUoIFavGkz0De2DWZGuYL1YaMUY3eKeaOHiXqeX+w==";
  };
  two = {
    public = "test-two:fvZkMx5FS5zCo1qWrPS21bSSrh97dt/lYHTU6bpgLVw=";
    secret = "test-two:dTdQ0jt8hTbcqmCKqvteTM9zA51edgo8PQ0NJPz1HkZ+9mQzHkVLnMKjWpas9LbVtJKuH3t23+VgdNTpumAtXA==";
  };
}
