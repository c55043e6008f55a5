<?php
namespace App;

class OrderShipped implements \Illuminate\Contracts\Broadcasting\ShouldBroadcast
{
    public $order = 7;

    public function broadcastOn()
    {
        return ['lobby'];
    }

    public function broadcastAs()
    {
        return 'OrderShipped';
    }
}
